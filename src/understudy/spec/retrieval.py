"""The settings of a run that learns embeddings to search images with."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from understudy.spec.section import Section

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0.0)]


class HeadSettings(Section):
    """One head of several on a shared trunk."""

    blocks: Count | None = Field(default=None, description="of the last stage, from its first one on (default: all)")
    stride: Count = Field(default=1, description="of the last stage")
    rate: Positive = Field(default=1.0, description="factor of the learning rate")


class RetrievalSettings(Section):
    """A run whose student answers embeddings, and is measured by Recall@K on classes it may never have seen."""

    loss: str = Field(
        default="cross_entropy",
        description="cross_entropy on a classifier of its own, or one of pytorch-metric-learning's: triplet, "
        "contrastive, multi_similarity, proxy_anchor, ... (docs/retrieval.md)",
    )
    options: dict[str, float] = Field(
        default_factory=dict, description="numbers of the loss: retrieval.options.margin=0.2"
    )
    miner: str | None = Field(
        default=None,
        description="which pairs or triplets of a batch a loss of pairs counts: none (all of them), semihard, "
        "distance_weighted, ... (default: the loss's own; docs/retrieval.md)",
    )
    images_per_class: Annotated[int, Field(ge=0)] | None = Field(
        default=None, description="of each class in a batch; 0: as they come (default: 4 for losses of pairs, else 0)"
    )
    length: Count | None = Field(
        default=None, description="numbers in an embedding (default: as many as enter the classifier)"
    )
    ensemble: Literal["none", "hdhe", "ms-hdhe", "tri-hdhe"] = Field(
        default="none", description="several heads on one trunk, for residual networks"
    )
    heads: tuple[HeadSettings, ...] = Field(
        default=(), description="heads of one's own in place of an ensemble's: [{blocks: 3, rate: 0.5}, {blocks: 1}]"
    )
    shared: str | None = Field(
        default=None, description="the stage or block in which the trunk ends: layer2, layer3.1 (default: ensemble's)"
    )
    feature: Literal["original", "linear", "penultimate", "penultimate+"] = Field(
        default="penultimate+", description="what a head answers: the last block, with a linear layer, or a part of it"
    )
    at: tuple[Count, ...] = Field(default=(1, 2, 4, 8), min_length=1, description="the K of Recall@K; the first leads")
    flip: bool = Field(default=True, description="add the embedding of the mirrored image before searching")

    @model_validator(mode="after")
    def _length_is_of_a_linear_layer(self) -> "RetrievalSettings":
        if self.length is not None and (self.heads or self.ensemble != "none") and self.feature != "linear":
            raise ValueError(
                f"retrieval.length: found {self.length} with heads whose vectors have the length of their "
                f"{self.feature} feature; add retrieval.feature=linear, or leave it out"
            )
        return self
