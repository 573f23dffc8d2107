"""Linear functions as a function of PostgreSQL with pgvector."""

import numpy as np
from numpy.typing import NDArray

from hashlearn.integrations._affine import LinearFunctions


def write_function(start: str, method: str, linear: LinearFunctions) -> str:
    """Write the statement that begins with `start`, such as ``CREATE FUNCTION "name"``."""
    n_bits, dim = linear.weights.shape
    return _FUNCTION.format(
        start=start,
        method=method,
        n_bits=n_bits,
        dim=dim,
        x="l2_normalize(x)" if linear.normalises else "x",
        rows=_rows(linear),
    )


def _rows(linear: LinearFunctions) -> str:
    """Write weights, biases, and how wrong an inner product may be for a vector of length 1."""
    # Any order of d additions errs by less than d 2^-24 |x| |w|; twice that covers all the rest.
    lengths = np.linalg.norm(linear.weights.astype(np.float64), axis=1)
    errors = linear.weights.shape[1] * 2.0**-23 * lengths
    weights = ",".join(f'"[{_numbers(row)}]"' for row in linear.weights)
    return (
        f"'{{{weights}}}'::vector[],\n        '{{{_numbers(linear.bias)}}}'::float8[],\n"
        f"        '{{{_numbers(errors)}}}'::float8[]"
    )


def _numbers(values: NDArray[np.floating]) -> str:
    """Write numbers, each as short as it can be and still be read as the same."""
    return ",".join(map(str, values))


# 1e-30 covers products below the smallest number, and 1e38 sums beyond the largest. What rounds to
# -0 in single precision, from -2^-150 on, is not negative.
_FUNCTION = """\
{start}(x vector) RETURNS bit({n_bits})
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path FROM CURRENT AS $hashlearn$
-- {method} of hashlearn: bit j is 1 where weights[j] . x + bias[j] >= 0.
DECLARE
    v CONSTANT vector := {x};
    length CONSTANT float8 := vector_norm(v);
BEGIN
    IF vector_dims(x) <> {dim} THEN
        RAISE EXCEPTION 'the hash function takes vectors of {dim} dimensions, got %', vector_dims(x)
            USING ERRCODE = 'data_exception';
    END IF;
    RETURN (SELECT string_agg(
        CASE WHEN abs(value) BETWEEN error * length + 1e-30 AND 1e38
            THEN CASE WHEN value > 0 THEN '1' ELSE '0' END
            ELSE (
                SELECT CASE WHEN sum(p.x::float8 * p.w::float8 ORDER BY p.i) + bias
                    >= -7.006492321624085e-46 THEN '1' ELSE '0' END
                FROM unnest(v::real[], weights::real[]) WITH ORDINALITY AS p(x, w, i)
            )
        END, '' ORDER BY j)::bit({n_bits})
    FROM (
        SELECT f.*, inner_product(v, f.weights) + f.bias AS value FROM unnest(
        {rows}
        ) WITH ORDINALITY AS f(weights, bias, error, j)
    ) AS functions);
END $hashlearn$;"""
