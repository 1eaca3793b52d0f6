from understudy.data.named.wordnet import first_words


def test_the_first_synonym_names_a_class_and_the_number_one_without():
    assert first_words(["n1", "n2"], {"n1": "goldfish, Carassius auratus"}) == ("goldfish", "n2")


def test_classes_that_share_a_word_are_told_apart_by_their_numbers():
    words = {"n1": "crane", "n2": "tench, Tinca tinca", "n3": "crane"}
    assert first_words(["n1", "n2", "n3"], words) == ("crane (n1)", "tench", "crane (n3)")
