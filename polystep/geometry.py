"""Directions in which a particle is probed: polytope vertices, Haar rotations, rotations turned towards a direction."""

import math
from typing import Literal

import torch
from torch import Tensor

from polystep.validation import SettingError

Polytope = Literal["orthoplex", "simplex", "cube"]


def polytope_vertices(polytope: Polytope, dimension: int) -> Tensor:
    """Vertices of a centred polytope of unit radius, shape (V, d).

    orthoplex: +e_1..+e_d then -e_1..-e_d, V = 2d; simplex: d + 1 points; cube: all sign vectors / sqrt(d), V = 2^d,
    bit j of the index set means a minus. Source: METHOD.md, polytopes and rotations.
    """
    if dimension < 1:
        raise SettingError(f"particle dimension must be at least 1, got {dimension}")
    identity = torch.eye(dimension)
    if polytope == "orthoplex":
        return torch.cat([identity, -identity])
    if polytope == "simplex":
        shift = (math.sqrt(dimension + 1) + 1) / dimension**1.5
        vertices = torch.cat(
            [math.sqrt(1 + 1 / dimension) * identity - shift, torch.full((1, dimension), dimension**-0.5)]
        )
        return vertices - vertices.mean(0)
    if polytope == "cube":
        bits = (torch.arange(2**dimension).unsqueeze(1) >> torch.arange(dimension)) & 1
        return (1.0 - 2.0 * bits) / math.sqrt(dimension)
    raise SettingError(f"unknown polytope {polytope!r}; choose orthoplex, simplex or cube")


def haar_rotations(count: int, dimension: int, generator: torch.Generator) -> Tensor:
    """Independent rotations distributed uniformly on SO(d), shape (count, d, d), on the generator's device.

    d = 2: a uniform angle. d > 2: QR of a Gaussian matrix, columns multiplied by the signs of the diagonal of R
    (Mezzadri, arXiv math-ph/0609050), column 0 negated where the determinant is negative.
    """
    device = generator.device
    if dimension == 2:
        angle = torch.rand(count, generator=generator, device=device) * (2 * math.pi)
        cos, sin = angle.cos(), angle.sin()
        return torch.stack([cos, -sin, sin, cos], dim=-1).reshape(count, 2, 2)
    gaussian = torch.randn(count, dimension, dimension, generator=generator, device=device)
    q, r = torch.linalg.qr(gaussian)
    q = q.mul(_signs(r.diagonal(dim1=-2, dim2=-1)).unsqueeze(-2))
    q[:, :, 0] *= _signs(torch.linalg.det(q)).unsqueeze(-1)
    rotations: Tensor = q
    return rotations


def bias_rotations(rotations: Tensor, directions: Tensor) -> Tensor:
    """Turn each rotation so that its column 0 points along a given direction, shape (P, d, d).

    Column 0 is replaced by the unit direction, QR makes the columns orthonormal again, column 0 keeps its sign and the
    last column is negated where the determinant is negative. Zero or non-finite directions leave the rotation as it is.
    `directions`: (P, d). Source: METHOD.md, polytopes and rotations.
    """
    dimension = rotations.shape[-1]
    if dimension == 1:
        return rotations
    norm = directions.norm(dim=-1, keepdim=True)
    usable = torch.isfinite(norm) & (norm > 0)
    unit = torch.where(usable, directions / norm, rotations[:, :, 0])
    q, r = torch.linalg.qr(torch.cat([unit.unsqueeze(-1), rotations[:, :, 1:]], dim=-1))
    q = torch.cat([q[:, :, :1] * _signs(r[:, :1, :1]), q[:, :, 1:]], dim=-1)
    flip = _signs(torch.linalg.det(q)).reshape(-1, 1, 1)
    q = torch.cat([q[:, :, :-1], q[:, :, -1:] * flip], dim=-1)
    sound = usable & torch.isfinite(q).all(dim=(-2, -1)).unsqueeze(-1)
    return torch.where(sound.unsqueeze(-1), q, rotations)


def turn_nearest_vertices(rotations: Tensor, vertices: Tensor, directions: Tensor) -> Tensor:
    """Turn each rotated polytope by the smallest rotation that takes the vertex nearest to a direction onto it, (P, d, d).

    With u the nearest vertex, b the unit direction and c = u.b: R <- (I + 2 b u^T - (u + b)(u + b)^T/(1 + c)) R.
    `rotations`: (P, d, d). `vertices`: (V, d) of the unrotated polytope. `directions`: (P, d); zero or non-finite ones leave
    their rotation as it is. Source: the author's library from version 1.0 on.
    """
    norm = directions.norm(dim=-1, keepdim=True)
    usable = torch.isfinite(norm) & (norm > 0)
    b = torch.where(usable, directions / norm, rotations[:, :, 0])
    rotated = torch.einsum("pij,vj->pvi", rotations, vertices)
    nearest = torch.einsum("pvi,pi->pv", rotated, b).argmax(1)
    u = rotated[torch.arange(len(rotated), device=rotated.device), nearest]
    both = u + b
    cosine = (u * b).sum(-1).reshape(-1, 1, 1)
    turn = 2 * torch.einsum("pi,pj->pij", b, u) - torch.einsum("pi,pj->pij", both, both) / (1 + cosine)
    turned = rotations + turn @ rotations
    return torch.where(usable.unsqueeze(-1), turned, rotations)


def _signs(values: Tensor) -> Tensor:
    """Signs with sign(0) = +1."""
    return torch.where(values < 0, -1.0, 1.0)
