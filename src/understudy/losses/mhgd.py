"""MHGD: graph distillation by multi-head attention.

Lee & Song, "Graph-based Knowledge Distillation by Multi-head Attention Network", BMVC 2019, section 3.

An attention network learns on the teacher alone how the images' leading singular vectors at one tap follow from those
at the tap before. Frozen, its heads are graphs over the batch, which the student's vectors are to reproduce.

Differs from the paper: signs of the teacher's vectors are canonical, since V -> -V flips the graph's logits; the
divergence is averaged over the batch's rows, where the authors' code sums; maps of other widths go through a connector,
where their pairs are equally wide. Clipping the gradient to that of the task is not part of the loss. The estimator's
loss has the sign of the authors' code, 1 - cosine.
"""

# Shapes: B images (rows at the back, columns in front), M channels in front, N at the back, D = (M + N) // 2, A heads.

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from understudy.losses.singular import leading_vectors, matched_vectors
from understudy.ops import at_least_float32, full_precision

NUM_CANDIDATES = 4  # student vectors to choose from, as in the authors' code


def projection(width_in: int, width_out: int) -> nn.Sequential:
    """A linear layer whose bias is the batch normalisation's."""
    return nn.Sequential(nn.Linear(width_in, width_out, bias=False), nn.BatchNorm1d(width_out))


def drop_heads(attention_ABB: Tensor) -> Tensor:
    """The attention with a random half of the heads at zero, drawn anew for each row: those with less than mean noise.

    At least one head stays, in particular an only one. As in the authors' code the others are not scaled up.
    """
    noise_AB1 = torch.randn_like(attention_ABB[:, :, :1])
    return torch.where(noise_AB1 >= noise_AB1.mean(dim=0), attention_ABB, 0.0)


class GraphHead(nn.Module):
    """Multi-head attention from the images' vectors in front to those at the back, trained on the teacher.

    Built for the teacher's maps (B, M, H, W) in front and (B, N, H', W') at the back. Raises ValueError for fewer than
    1 head.
    """

    def __init__(self, front_shape: tuple[int, ...], back_shape: tuple[int, ...], heads: int = 8):
        super().__init__()
        if heads < 1:
            raise ValueError(f"heads={heads}: expected 1 or more")
        front, back = front_shape[1], back_shape[1]
        width = (front + back) // 2
        self.heads = heads
        self.theta = projection(back, width * heads)
        self.phi = projection(front, width * heads)
        self.value = projection(front, width)
        self.estimator = nn.Linear(width * heads, back)

    def graph(self, front_vectors: Tensor, back_vectors: Tensor) -> Tensor:
        """How strongly each image at the back attends to each in front: (B, M), (B, N) -> logits (A, B, B)."""
        own = self.estimator.weight.dtype
        with full_precision(back_vectors):
            theta_ABD = self.theta(back_vectors.to(own)).unflatten(1, (self.heads, -1)).transpose(0, 1)
            phi_ABD = self.phi(front_vectors.to(own)).unflatten(1, (self.heads, -1)).transpose(0, 1)
            return theta_ABD @ phi_ABD.mT

    def forward(self, front_BCHW: Tensor, back_BCHW: Tensor) -> Tensor:
        """1 - cosine of the estimated and the true vectors at the back, averaged over the batch: teacher's maps -> ().

        In training mode heads are dropped, with torch's global generator. A batch of one has nothing to attend to but
        itself: zero there.
        """
        if self.training and len(front_BCHW) == 1:
            # BatchNorm has no variance to divide by.
            return 0.0 * self.estimator.bias.sum()
        front_BM, back_BN = leading_vector(front_BCHW.detach()), leading_vector(back_BCHW.detach())
        with full_precision(back_BN):
            attention_ABB = self.graph(front_BM, back_BN).softmax(dim=-1)
            if self.training:
                attention_ABB = drop_heads(attention_ABB)
            mixed_ABD = attention_ABB @ F.relu(self.value(front_BM.to(attention_ABB.dtype)))
            estimate_BN = F.normalize(self.estimator(mixed_ABD.transpose(0, 1).flatten(1)), dim=1)
        return (1.0 - (estimate_BN * back_BN).sum(dim=1)).mean()


def leading_vector(feature_BCHW: Tensor) -> Tensor:
    """The first right singular vector of each image: (B, C, H, W) -> (B, C)."""
    return leading_vectors(feature_BCHW, 1)[0].squeeze(-1)


def mhgd(
    student_front: Tensor, student_back: Tensor, teacher_front: Tensor, teacher_back: Tensor, guide: GraphHead
) -> Tensor:
    """KL(student's graph || teacher's), graphs being softmax(tanh(logits)) over the images in front.

    Four maps (B, C, H, W) -> (), summed over the heads and averaged over the images at the back. Both graphs come
    from the same frozen guide in eval mode, through which the gradient reaches the student. The order of the batch
    changes nothing; zero for equal maps and for a batch of one. Widths must be equal within a tap. Raises
    ValueError for unequal widths and for features that are no maps.
    """
    student_front_BM1, teacher_front_BM1, _ = matched_vectors(student_front, teacher_front, 1, NUM_CANDIDATES)
    student_back_BN1, teacher_back_BN1, _ = matched_vectors(student_back, teacher_back, 1, NUM_CANDIDATES)
    with torch.no_grad():
        wanted_ABB = guide.graph(teacher_front_BM1[..., 0], teacher_back_BN1[..., 0])
    graph_ABB = guide.graph(student_front_BM1[..., 0], student_back_BN1[..., 0])
    log_student_ABB = graph_ABB.tanh().log_softmax(dim=-1)
    log_teacher_ABB = wanted_ABB.tanh().log_softmax(dim=-1)
    divergence = F.kl_div(log_teacher_ABB, log_student_ABB, reduction="sum", log_target=True)
    return (divergence / student_front.shape[0]).to(at_least_float32(student_front).dtype)
