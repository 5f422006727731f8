"""``np.einsum``, products of vectors and of chains: against NumPy and JAX."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import fgrad
from fgrad.ops.einsum import _as_product, _einsum_numpy
from fgrad.testing import assert_program, pair

LENGTHS = {"i": 2, "j": 3, "k": 2, "l": 1, "m": 3}


def array(shape: tuple[int, ...], seed: int = 0, dtype: str = "float64") -> Any:
    rng = np.random.default_rng(seed)
    values = rng.uniform(-1, 1, shape)
    if np.dtype(dtype).kind == "c":
        values = values + 1j * rng.uniform(-1, 1, shape)
    return np.asarray(values).astype(dtype)


def weight(shape: tuple[int, ...]) -> Any:
    return np.cos(np.arange(1, 1 + np.prod(shape, dtype=int)).reshape(shape))


def assert_like(found: Any, expected: Any, rtol: float = 1e-12) -> None:
    assert type(found) is type(expected)
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol, rtol)


def check(f: Any, jax_f: Any, operands: list[Any]) -> None:
    """Value as NumPy's; gradient and its derivative as JAX's; both modes agree."""
    expected = f(*operands)
    found, pullback = fgrad.vjp(f, *operands)
    assert_like(found, np.asarray(expected)[()])
    tangents = tuple(array(x.shape, 7, x.dtype.name) for x in operands)
    ct = array(expected.shape, 8, expected.dtype.name)[()]
    pushed = fgrad.jvp(f, tuple(operands), tangents)[1]
    pulled = pullback(ct)
    size = 1 + pair([np.abs(ct)], [np.abs(pushed)])
    assert abs(pair([ct], [pushed]) - pair(pulled, tangents)) < 1e-10 * size
    w, wrt = weight(expected.shape), tuple(range(len(operands)))

    def loss(*xs: Any) -> Any:
        return np.sum(np.real(w * f(*xs) ** 2))

    def jax_loss(*xs: Any) -> Any:
        return jnp.sum(jnp.real(w * jax_f(*xs) ** 2))

    gradient = fgrad.grad(loss, wrt)

    def slope(*xs: Any) -> Any:
        products = zip(gradient(*xs), tangents, strict=True)
        return sum(np.sum(np.real(g * t)) for g, t in products)

    compiled = jax.jit(
        lambda xs, ts: jax.jvp(jax.grad(jax_loss, wrt), xs, ts),
        compiler_options={"xla_backend_optimization_level": 0},
    )
    first, second = compiled(tuple(operands), tangents)
    for one, other in zip(gradient(*operands), first, strict=True):
        np.testing.assert_allclose(one, other, 1e-10, 1e-10, strict=True)
    for one, other in zip(fgrad.grad(slope, wrt)(*operands), second, strict=True):
        np.testing.assert_allclose(one, other, 1e-10, 1e-10, strict=True)


def check_subscripts(text: str, operands: list[Any], jax_text: str = "") -> None:
    check(
        lambda *xs: np.einsum(text, *xs),
        lambda *xs: jnp.einsum(jax_text or text, *xs),
        operands,
    )


@st.composite
def subscripts(draw: Any) -> str:
    """Explicit subscripts for one to three operands, with repeated letters, too."""
    letter = st.sampled_from("ijklm")
    count = draw(st.integers(1, 3))
    terms = ["".join(draw(st.lists(letter, max_size=3))) for _ in range(count)]
    known = sorted(set("".join(terms)))
    order = draw(st.permutations(known))
    output = order[: draw(st.integers(0, min(3, len(order))))]
    return f"{','.join(terms)}->{''.join(output)}"


@given(subscripts(), st.sampled_from(["float64", "complex128"]))
def test_random_subscripts(text: str, dtype: str) -> None:
    terms = text.split("->")[0].split(",")
    operands = [
        array(tuple(LENGTHS[c] for c in term), number, dtype)
        for number, term in enumerate(terms)
    ]
    check_subscripts(text, operands)


@given(subscripts())
def test_every_contraction_equals_numpys(text: str) -> None:
    """The primitive alone, on shapes and types that BLAS takes and others."""
    terms = text.split("->")[0].split(",")
    for dtype in ("float32", "int64"):
        operands = [
            (9 * array(tuple(LENGTHS[c] for c in term), k)).astype(dtype)
            for k, term in enumerate(terms)
        ]
        found = _einsum_numpy(*operands, subscripts=text)
        expected = np.einsum(text, *operands)
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, 1e-5, 1e-5)
        assert not any(np.shares_memory(found, x) for x in operands)


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("ij,jk", [(2, 3), (3, 4)]),
        ("ba", [(2, 3)]),
        ("ii", [(3, 3)]),
        ("ij,ij", [(2, 3), (2, 3)]),
        ("...ij,...jk->...ik", [(4, 2, 3), (3, 2)]),
        ("...ij,...jk", [(4, 2, 3), (5, 1, 3, 2)]),
        ("i...,i...->...", [(2, 3, 4), (2, 4)]),
        ("b...a", [(2, 3, 4)]),
        ("...", [(2, 3)]),
        ("...,...", [(2, 3), ()]),
        ("i...i->...", [(2, 3, 2)]),
        ("ij, jk -> ik", [(2, 3), (3, 4)]),
        ("ij,jk,kl,lm->im", [(2, 3), (3, 4), (4, 2), (2, 3)]),
        ("aB,Bc->ac", [(2, 3), (3, 4)]),
    ],
)
def test_subscripts_as_numpy_reads_them(text: str, shapes: list[Any]) -> None:
    check_subscripts(text, [array(s, k) for k, s in enumerate(shapes)])


@pytest.mark.parametrize(
    ("text", "full", "shapes"),
    [
        ("ij,jk->ik", "ix,jk->ik", [(2, 1), (3, 4)]),
        ("ij,ij->ij", "ij,xj->ij", [(2, 3), (1, 3)]),
        ("ii,ij->j", "xx,ij->j", [(1, 1), (2, 3)]),
        ("...i,...i", "abi,xbi->ab", [(2, 3, 4), (1, 3, 4)]),
    ],
)
def test_axes_of_length_one_broadcast(text: str, full: str, shapes: list[Any]) -> None:
    check_subscripts(text, [array(s, k) for k, s in enumerate(shapes)], full)


def test_lists_of_axes() -> None:
    a, b = array((2, 3)), array((3, 4), 1)

    def f(x: Any, y: Any) -> Any:
        return np.einsum(x, [0, 1], y, [1, 2], [2, 0])

    check(f, lambda x, y: jnp.einsum("ij,jk->ki", x, y), [a, b])
    for items in [(a, [5, 2]), (a, [0, 30]), (a, [0, ...], [..., 0]), (a, [...])]:
        found = fgrad.vjp(lambda x, rest=items[1:]: np.einsum(x, *rest), a)[0]
        assert_like(found, np.einsum(*items))


@pytest.mark.parametrize(
    "optimize", [False, True, "optimal", ["einsum_path", (0, 1, 2)]]
)
def test_the_path_is_free(optimize: Any) -> None:
    operands = [array((2, 3)), array((3, 4), 1), array((4, 2), 2)]
    check(
        lambda *xs: np.einsum("ij,jk,ki->", *xs, optimize=optimize),
        lambda *xs: jnp.einsum("ij,jk,ki->", *xs),
        operands,
    )


def test_products_are_taken_two_at_a_time() -> None:
    assert_program(
        lambda a, b, c: np.einsum("ij,jk,k->i", a, b, c),
        (array((5, 5)), array((5, 5)), array((5,))),
        """
        { lambda ; a:f64[5,5] b:f64[5,5] c:f64[5] . let
            d:f64[5] = einsum[subscripts='jk,k->j'] b c
            e:f64[5] = einsum[subscripts='ij,j->i'] a d
          in (e,) }
        """,
    )


def test_the_gradient_of_a_product_is_two_products() -> None:
    def product(x: Any, y: Any) -> Any:
        return np.einsum("ij,jk->ik", x, y)

    assert_program(
        lambda a, b, ct: fgrad.vjp(product, a, b)[1](ct),
        (array((2, 3)), array((3, 4)), array((2, 4))),
        """
        { lambda ; a:f64[2,3] b:f64[3,4] c:f64[2,4] . let
            d:f64[2,3] = einsum[subscripts='ik,jk->ij'] c b
            e:f64[3,4] = einsum[subscripts='ik,ij->jk'] c a
          in (d,e,) }
        """,
    )


def test_types_are_numpys() -> None:
    single, double = array((2, 3), 0, "float32"), array((3, 2), 1)
    for f in (
        lambda x: np.einsum("ij,ij->i", x, x),
        lambda x: np.einsum("ij,jk->ik", x, double),
        lambda x: np.einsum("ij,->ij", x, 2.0),
        lambda x: np.einsum("ij->", x),
        lambda x: np.einsum("ij->j", x, dtype="float64"),
        lambda x: np.einsum("ij,jk->ik", x, np.ones((3, 2), int)),
    ):
        assert_like(fgrad.vjp(f, single)[0], np.asarray(f(single))[()], 1e-6)
    gradient = fgrad.grad(lambda x: np.sum(np.einsum("ij,jk->ik", x, double)))(single)
    assert gradient.dtype == np.float32


def test_rearranged_axes_are_a_view_that_can_be_written() -> None:
    def f(x: Any) -> Any:
        y = x * 1.0
        np.einsum("ii->i", y)[...] = 0.0
        np.einsum("ij->ji", y)[0, 1] = 5.0
        return np.sum(y * np.arange(9.0).reshape(3, 3))

    x = array((3, 3))
    expected = np.arange(9.0).reshape(3, 3) * (1 - np.eye(3))
    expected[1, 0] = 0
    np.testing.assert_array_equal(fgrad.grad(f)(x), expected)
    assert fgrad.value_and_grad(f)(x)[0] == f(x)


def test_out() -> None:
    def f(x: Any) -> Any:
        target = x * 0.0
        result = np.einsum("ij,jk->ik", x, x, out=target)
        return np.sum(result * target)

    x = array((2, 2))
    np.testing.assert_allclose(fgrad.value_and_grad(f)(x)[0], np.sum((x @ x) ** 2))


@pytest.mark.parametrize(
    ("text", "shapes", "message"),
    [
        ("ij,jk->ik", [(2, 3), (4, 2)], "lengths"),
        ("ij,jk->ik", [(2, 3)], "2 operands"),
        ("ij->iji", [(2, 3)], "twice"),
        ("ij->k", [(2, 3)], "'k'"),
        ("ijk->i", [(2, 3)], "axes"),
        ("i->i", [(2, 3)], "axes"),
        ("...ij->ij", [(4, 2, 3)], "no '...'"),
        ("i?->i", [(2, 3)], "invalid"),
        ("ii->i", [(1, 3)], "lengths"),
    ],
)
def test_errors(text: str, shapes: list[Any], message: str) -> None:
    operands = [array(s) for s in shapes]
    with pytest.raises(ValueError):
        np.einsum(text, *operands)
    with pytest.raises(ValueError, match=message):
        fgrad.vjp(lambda *xs: np.einsum(text, *xs), *operands)


def test_unsafe_casting_is_refused() -> None:
    with pytest.raises(TypeError, match="cast"):
        fgrad.vjp(lambda x: np.einsum("i->", x, dtype="float32"), array((3,)))


def test_einsum_path() -> None:
    operands = [array((2, 3)), array((3, 4)), array((4, 2))]
    paths = []

    def f(*xs: Any) -> Any:
        paths.append(np.einsum_path("ij,jk,ki->", *xs)[0])
        return np.sum(xs[0])

    fgrad.grad(f)(*operands)
    assert paths == [np.einsum_path("ij,jk,ki->", *operands)[0]]


def test_contractions_go_through_blas() -> None:
    """Matrix products do, elementwise and batched dot products do not."""
    for text in ("ij,jk->ik", "bij,bjk->bik", "ij,j->i", "i,i->", "ijk,jkl->il"):
        assert _as_product(text) is not None
    for text in ("i,j->ij", "ij,ij->ij", "bi,bi->b"):
        assert _as_product(text) is None


VECTOR_PRODUCTS = {
    "vecdot": ("vecdot", [(2, 3), (3,)], "...i,...i"),
    "matvec": ("matvec", [(4, 2, 3), (3,)], "...ij,...j"),
    "vecmat": ("vecmat", [(3,), (4, 3, 2)], "...i,...ij"),
}


@pytest.mark.parametrize("name", VECTOR_PRODUCTS)
@pytest.mark.parametrize("dtype", ["float64", "complex128"])
def test_products_of_vectors(name: str, dtype: str) -> None:
    if not hasattr(np, name):
        pytest.skip("this NumPy does not have it")
    _, shapes, text = VECTOR_PRODUCTS[name]
    operands = [array(s, k, dtype) for k, s in enumerate(shapes)]

    def expected(x: Any, y: Any) -> Any:
        return jnp.einsum(text, x if name == "matvec" else jnp.conj(x), y)

    check(getattr(np, name), expected, operands)


def test_linalg_vecdot_along_an_axis() -> None:
    check(
        lambda x, y: np.linalg.vecdot(x, y, axis=0),
        lambda x, y: jnp.sum(x * y, 0),
        [array((3, 2)), array((3, 2), 1)],
    )


@pytest.mark.parametrize(
    "shapes",
    [
        [(2, 3), (3, 4)],
        [(2, 3), (3, 4), (4, 2)],
        [(3,), (3, 4), (4, 2), (2,)],
        [(5, 2), (2, 6), (6, 3), (3, 4), (4,)],
        [(3,), (3,)],
    ],
)
def test_multi_dot(shapes: list[Any]) -> None:
    operands = [array(s, k) for k, s in enumerate(shapes)]
    check(
        lambda *xs: np.linalg.multi_dot(xs),
        lambda *xs: jnp.linalg.multi_dot(xs),
        operands,
    )


def test_multi_dot_refuses_other_shapes() -> None:
    with pytest.raises(np.linalg.LinAlgError, match="two axes"):
        fgrad.vjp(lambda x: np.linalg.multi_dot([x, np.ones(2), x]), np.ones((2, 2)))
    with pytest.raises(ValueError, match="two arrays"):
        fgrad.vjp(lambda x: np.linalg.multi_dot([x]), np.ones((2, 2)))
