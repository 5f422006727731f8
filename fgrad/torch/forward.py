"""Forward mode: the tangents of outputs for tangents of points.

What was recorded is joined as for `backward`, and the core derives the tangent map of
it; the operations run once, however many tangents are pushed forward.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fgrad.ir import Aval
from fgrad.lower.numpy import Executable, run_on
from fgrad.path import Path
from fgrad.torch.backward import Joint, between, gather, saved_by
from fgrad.torch.dtypes import of_numpy
from fgrad.torch.graph import Edge, edge_of
from fgrad.torch.pullbacks import recorded
from fgrad.torch.runs import end_learning
from fgrad.torch.tensor import Tensor, make
from fgrad.trace import Tracer
from fgrad.transforms.tape import derived, derived_units, unit_vectors, zeros

FORWARD_LIMIT = 4096  # structures whose programs are kept

Linear = tuple[Path, tuple[int, ...], tuple[int, ...], list[Aval]]

_joined: dict[tuple[Any, ...], Linear] = {}


class Forward:
    """The tangent map of recorded operations, from points to outputs.

    Attributes:
        outputs: tensors that require gradients.
        points: tensors that require gradients; leaves, or cut off from what they
            depend on.
    """

    def __init__(self, outputs: Sequence[Tensor], points: Sequence[Tensor]) -> None:
        end_learning()
        edges = [edge_of(x) for x in points]
        self.outputs = outputs
        self.points = points
        ends = [edge_of(y) for y in outputs]
        self._order = between(gather(ends), edges)
        joint = Joint(self._order, ends, [y._aval for y in outputs])
        self._numbers = [k for k, edge in enumerate(edges) if joint.has(edge)]
        found = [edges[k] for k in self._numbers]
        self._path, self._outs, self._wrt, self._avals = _join(joint, found)

    def push(
        self, tangents: Sequence[Tensor], create_graph: bool = False
    ) -> list[Tensor]:
        """The tangents of the outputs for those of the points.

        Args:
            tangents: one for each point.
            create_graph: record the results, so that they can be differentiated.
        """
        given = [tangents[k] for k in self._numbers]
        pairs = zip(given, self._avals, strict=True)
        seeds = [_fitting(tangent, aval) for tangent, aval in pairs]
        executable, flags = derived(self._path, "jvp", self._outs, self._wrt)
        found = iter(self._run(executable, seeds, create_graph))
        return [
            next(found) if is_given else make(np.zeros(y._aval.shape, y._aval.dtype))
            for y, is_given in zip(self.outputs, flags, strict=True)
        ]

    def columns(self, number: int, create_graph: bool = False) -> list[Tensor]:
        """Jacobians by one point: for each output one whose first axis is that of it.

        All unit vectors are pushed forward at once.
        """
        point = self.points[number]
        lead = point._aval.size
        if number not in self._numbers:
            return [make(_zero_columns(y, lead)) for y in self.outputs]
        position = self._numbers.index(number)
        aval, wrt = self._avals[position], (self._wrt[position],)
        results = []
        for y, out in zip(self.outputs, self._outs, strict=True):
            key = ("jvp", (out,), wrt)
            if not lead or not derived(self._path, *key)[1][0]:
                results.append(make(_zero_columns(y, lead)))
                continue
            executable, takes_units = derived_units(self._path, key, lead)
            seeds = [make(unit_vectors(aval))] if takes_units else []
            results += self._run(executable, seeds, create_graph)
        return results

    def _run(
        self, executable: Executable, seeds: list[Tensor], create_graph: bool
    ) -> list[Tensor]:
        saved = saved_by(self._order)
        if create_graph:
            return recorded(executable.program, self._order, saved, seeds)
        arguments = [x for each in saved for x in each]
        arguments += [seed._array for seed in seeds]
        is_traced = any(type(x) is Tracer for x in arguments)
        return [make(array) for array in run_on(executable, arguments, is_traced)]


def _join(joint: Joint, edges: list[Edge]) -> Linear:
    codes = tuple(joint._code(edge) for edge in edges)
    key = (*joint.key, codes)
    found = _joined.get(key)
    if found is None:
        if len(_joined) >= FORWARD_LIMIT:
            _joined.clear()
        found = _joined[key] = joint._join(codes)
    return found


def _fitting(tangent: Tensor, aval: Aval) -> Tensor:
    if tangent._aval.dtype == aval.dtype:
        return tangent
    return tangent.to(of_numpy(aval.dtype))  # type: ignore[no-any-return]


def _zero_columns(y: Tensor, lead: int) -> Any:
    return np.asarray(zeros(y._aval, (lead,)))


def push_forward(
    outputs: Sequence[Tensor],
    points: Sequence[Tensor],
    tangents: Sequence[Tensor],
    create_graph: bool = False,
) -> list[Tensor]:
    """The tangents of outputs, zeros where an output does not depend on a point."""
    varying = [y for y in outputs if y._requires]
    found = iter(
        Forward(varying, points).push(tangents, create_graph) if varying else ()
    )
    return [
        next(found) if y._requires else make(np.zeros(y._aval.shape, y._aval.dtype))
        for y in outputs
    ]
