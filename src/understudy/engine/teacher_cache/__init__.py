"""The teacher's answers, kept on disk: planned, sized, written once and read again."""
