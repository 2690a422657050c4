"""Cross entropy against a large vocabulary without logits for every position at once.

Shape suffixes: B rows, T positions, C positions of one chunk, D hidden_size, V vocab_size.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxllm.parallel.mesh import platform
from jaxllm.parallel.rules import num_shards

# Logits of one chunk are [B, C, V] in float32; this many of them at most, on each device. An
# accelerator wants hundreds of positions for each time that it reads the kernel and its gradient.
_MAX_CHUNK_LOGITS = 1 << 24
_MAX_CHUNK_LOGITS_ON_ACCELERATORS = 1 << 26


def trained_positions(weights_BT: jax.Array, capacity: int | None) -> jax.Array | None:
    """Where each row carries loss, int32 [B, capacity]; None: as good as everywhere.

    Args:
        capacity: the most positions of any row that carry loss, or None for up to all of them.
    """
    if capacity is None or capacity >= weights_BT.shape[1]:
        return None
    return jax.lax.top_k((weights_BT > 0).astype(jnp.int8), capacity)[1]


def take_positions(array: jax.Array, where_BC: jax.Array | None) -> jax.Array:
    """An array [B, T, ...] at some positions of each row, [B, C, ...]; all of it for None."""
    if where_BC is None:
        return array
    return jnp.take_along_axis(array, jnp.expand_dims(where_BC, range(2, array.ndim)), axis=1)


def linear_cross_entropy(
    hidden_BTD: jax.Array,
    kernel_DV: jax.Array,
    targets_BT: jax.Array,
    weights_BT: jax.Array,
    *,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
) -> tuple[jax.Array, jax.Array]:
    """Weighted sum of -log softmax(hidden @ kernel)[target], a float32 scalar, and its terms.

    The terms are the loss of each position before it is weighted, float32 [B, T]; to look at only,
    they carry no gradient.

    Chunks of positions are projected, reduced and dropped one after another. Their gradients are
    formed in the same pass, while the logits are at hand, so that nothing of size [B, T, V] is
    ever kept and nothing is computed twice (the idea of Liger Kernel's fused linear cross entropy,
    arXiv 2410.10989). The kernel's gradient is left out where nobody asks for it.

    Args:
        label_smoothing: the share of each target that is spread evenly over the vocabulary (arXiv
            1512.00567).
        z_loss: of the squared log-normalizer, which is added and keeps logits from drifting (arXiv
            2204.02311).
    """
    length = targets_BT.shape[1]
    chunk, (hidden_BTD, targets_BT, weights_BT) = _padded(
        kernel_DV, hidden_BTD, targets_BT, weights_BT
    )
    form = _Form(chunk, label_smoothing, z_loss)
    total, losses_BT = _chunked(form, hidden_BTD, kernel_DV, targets_BT, weights_BT)
    return total, jax.lax.stop_gradient(losses_BT[:, :length])


def linear_log_probs(
    hidden_BTD: jax.Array, kernel_DV: jax.Array, targets_BT: jax.Array
) -> jax.Array:
    """log softmax(hidden @ kernel)[target], float32 [B, T], for losses that are no sum over tokens.

    Chunks are projected anew in the backward pass, where the slope of each position is known.
    """
    length = targets_BT.shape[1]
    chunk, (hidden_BTD, targets_BT) = _padded(kernel_DV, hidden_BTD, targets_BT)
    return _log_probs(_Form(chunk), hidden_BTD, kernel_DV, targets_BT)[:, :length]


class _Form(NamedTuple):
    """Positions of a chunk, and which loss."""

    chunk: int
    label_smoothing: float = 0.0
    z_loss: float = 0.0

    def losses(self, logits: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The loss of each position [B, C], and the log-normalizers."""
        log_normalizer = jax.nn.logsumexp(logits, axis=-1)
        aim = jnp.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
        if self.label_smoothing:
            aim = aim + self.label_smoothing * (jnp.mean(logits, axis=-1) - aim)
        return log_normalizer - aim + self.z_loss * jnp.square(log_normalizer), log_normalizer

    def slopes(self, logits: jax.Array, targets: jax.Array, log_normalizer: jax.Array) -> jax.Array:
        """The derivatives of `losses` by the logits, [B, C, V]."""
        probabilities = jnp.exp(logits - log_normalizer[..., None])
        if self.z_loss:
            probabilities *= 1 + 2 * self.z_loss * log_normalizer[..., None]
        vocab_size, smoothing = logits.shape[-1], self.label_smoothing
        is_target = targets[..., None] == jnp.arange(vocab_size)
        if smoothing:
            return probabilities - (1 - smoothing) * is_target - smoothing / vocab_size
        return probabilities - is_target


def chunk_size(rows: int, length: int, vocab_size: int) -> int:
    """How many positions of each row are projected at once on the ambient mesh."""
    logits = rows * vocab_size / (num_shards("batch") * num_shards("vocab"))
    most = _MAX_CHUNK_LOGITS if platform() == "cpu" else _MAX_CHUNK_LOGITS_ON_ACCELERATORS
    wanted = max(1, int(most // logits))
    num_chunks = -(-length // min(wanted, length))
    return -(-length // num_chunks)


def _padded(kernel_DV: jax.Array, *arrays: jax.Array) -> tuple[int, tuple[jax.Array, ...]]:
    """The positions of a chunk, and arrays [B, T, ...] padded to whole chunks."""
    rows, length = arrays[0].shape[:2]
    chunk = chunk_size(rows, length, kernel_DV.shape[1])
    pad = -length % chunk
    if pad:
        arrays = tuple(
            jnp.pad(array, ((0, 0), (0, pad), *[(0, 0)] * (array.ndim - 2))) for array in arrays
        )
    return chunk, arrays


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _chunked(form, hidden, kernel, targets, weights):
    def body(total, part):
        losses, _ = form.losses(_logits(part[0], kernel), part[1])
        return total + jnp.sum(losses * part[2]), losses

    parts = _split(form.chunk, hidden, targets, weights)
    total, losses = jax.lax.scan(body, jnp.float32(0), parts)
    return total, _joined(losses)


def _forward(form, hidden, kernel, targets, weights):
    # With symbolic zeros each argument says whether anything that is trained reaches it.
    values = hidden.value, kernel.value, targets.value, weights.value
    total, gradients = _loss_and_gradients(form, *values, by_kernel=kernel.perturbed)
    return (total, gradients[-1]), gradients


def _loss_and_gradients(form, hidden, kernel, targets, weights, *, by_kernel):
    def body(carry, part):
        total, kernel_grad = carry
        hidden_BCD, targets_BC, weights_BC = part
        logits = _logits(hidden_BCD, kernel)
        losses, log_normalizer = form.losses(logits, targets_BC)
        slope = form.slopes(logits, targets_BC, log_normalizer) * weights_BC[..., None]
        slope = slope.astype(hidden_BCD.dtype)
        hidden_grad = jnp.einsum(
            "BCV,DV->BCD", slope, kernel, preferred_element_type=jnp.float32
        ).astype(hidden_BCD.dtype)
        if by_kernel:
            kernel_grad = kernel_grad + jnp.einsum(
                "BCD,BCV->DV", hidden_BCD, slope, preferred_element_type=jnp.float32
            )
        return (total + jnp.sum(losses * weights_BC), kernel_grad), (hidden_grad, losses)

    start = (jnp.float32(0), jnp.zeros(kernel.shape, jnp.float32) if by_kernel else None)
    parts = _split(form.chunk, hidden, targets, weights)
    (total, kernel_grad), (hidden_grads, losses) = jax.lax.scan(body, start, parts)
    if kernel_grad is not None:
        kernel_grad = kernel_grad.astype(kernel.dtype)
    return total, (_joined(hidden_grads), kernel_grad, _joined(losses))


def _backward(form, saved, slopes):
    del form
    slope, _ = slopes
    hidden_grad, kernel_grad, losses_BT = saved
    if kernel_grad is not None:
        kernel_grad = (kernel_grad * slope).astype(kernel_grad.dtype)
    return (hidden_grad * slope).astype(hidden_grad.dtype), kernel_grad, None, losses_BT * slope


_chunked.defvjp(_forward, _backward, symbolic_zeros=True)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _log_probs(form, hidden, kernel, targets):
    def body(_, part):
        losses, _ = form.losses(_logits(part[0], kernel), part[1])
        return None, -losses

    return _joined(jax.lax.scan(body, None, _split(form.chunk, hidden, targets))[1])


def _log_probs_forward(form, hidden, kernel, targets):
    arrays = hidden.value, kernel.value, targets.value
    # What a forward pass saves is arrays; None or an empty tuple passes for a flag.
    return _log_probs(form, *arrays), (*arrays, () if kernel.perturbed else None)


def _log_probs_backward(form, saved, slope_BT):
    # The gradient of a weighted sum of losses, whose weights are the slopes.
    hidden, kernel, targets, by_kernel = saved
    _, (hidden_grad, kernel_grad, _) = _loss_and_gradients(
        form, hidden, kernel, targets, -slope_BT, by_kernel=by_kernel is not None
    )
    return hidden_grad, kernel_grad, None


_log_probs.defvjp(_log_probs_forward, _log_probs_backward, symbolic_zeros=True)


def _logits(hidden_BCD, kernel_DV):
    return jnp.dot(hidden_BCD, kernel_DV, preferred_element_type=jnp.float32)


def _split(chunk, *arrays):
    # [B, T, ...] -> [T / chunk, B, chunk, ...]: rows stay whole, so a batch split over devices
    # stays where it is.
    def one(array):
        rows, length = array.shape[:2]
        return jnp.moveaxis(array.reshape(rows, length // chunk, chunk, *array.shape[2:]), 1, 0)

    return tuple(one(array) for array in arrays)


def _joined(parts):
    # The inverse of `_split`, for one array.
    parts = jnp.moveaxis(parts, 0, 1)
    return parts.reshape(parts.shape[0], -1, *parts.shape[3:])
