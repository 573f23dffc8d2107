"""Codes in PostgreSQL with pgvector: tables, indexes, searches, and the hash function itself."""

import re
from collections.abc import Mapping
from typing import Literal

from hashlearn.codes import n_bytes
from hashlearn.integrations._affine import fold
from hashlearn.integrations._plpgsql import write_function
from hashlearn.integrations._sql import Name, check_whole, qualified, quoted, sql_type
from hashlearn.models import Model, hasher_of

_PLACEHOLDER = re.compile(r"\$[1-9]\d*|%\([a-z_]\w*\)s|:[a-z_]\w*", re.ASCII | re.I)
_MAX_DIM = 16_000
_VECTORS = ("vector", "halfvec")
_DISTANCES = ("<->", "<=>", "<#>", "<+>")
_MAX_ROWS = (1 << 63) - 1


def table_sql(
    name: Name,
    n_bits: int,
    *,
    id_type: str = "bigint",
    vector_dim: int | None = None,
    vector_type: Literal["vector", "halfvec"] = "vector",
    function: Name | None = None,
    columns: Mapping[str, str] | None = None,
) -> str:
    """Write the statement that creates a table of codes.

    Its columns are ``id``, the primary key, ``code``, and ``embedding`` if vectors are kept too.

    Parameters
    ----------
    name : str or sequence of str
        Table, as ``"items"``, ``"schema.items"`` or ``("schema", "items")``. Names are quoted, so
        that their case counts.
    n_bits : int
        Length of a code.
    id_type : str, default="bigint"
        Type of ``id``.
    vector_dim : int, optional
        Number of dimensions of the vectors that the table keeps; None: it keeps none.
    vector_type : {"vector", "halfvec"}, default="vector"
        Type of the vectors: single or half precision.
    function : str or sequence of str, optional
        Function of :func:`function_sql` that computes the code from the vector, whenever a row is
        written. None: whoever writes a row writes its code.
    columns : mapping of str to str, optional
        Names and types of further columns, as ``{"title": "text NOT NULL"}``.

    Returns
    -------
    str
        The statement.

    Raises
    ------
    TypeError
        If a name is no string.
    ValueError
        If a name or a type is not allowed, a column is named twice, a size is out of range, or
        there is a function and no vector.

    Examples
    --------
    >>> print(table_sql("items", 64, vector_dim=384, function="hash_code"))
    CREATE TABLE "items" (
        "id" bigint PRIMARY KEY,
        "code" bit(64) NOT NULL GENERATED ALWAYS AS ("hash_code"("embedding"::vector)) STORED,
        "embedding" vector(384) NOT NULL
    );
    """
    n_bytes(n_bits)
    lines = [f"{sql_type(id_type)} PRIMARY KEY", f"bit({n_bits}) NOT NULL"]
    names = ["id", "code"]
    if function is not None:
        if vector_dim is None:
            raise ValueError("a function needs the vectors in the table; give vector_dim")
        computed = f'{qualified(function)}("embedding"::vector)'
        lines[1] += f" GENERATED ALWAYS AS ({computed}) STORED"
    if vector_type not in _VECTORS:
        raise ValueError(f"vector_type must be one of {', '.join(_VECTORS)}; got {vector_type!r}")
    if vector_dim is not None:
        check_whole("vector_dim", vector_dim, 1, _MAX_DIM)
        lines.append(f"{vector_type}({vector_dim}) NOT NULL")
        names.append("embedding")
    for column, kind in (columns or {}).items():
        if column in names:
            raise ValueError(f"the table has a column {column!r} already")
        names.append(column)
        lines.append(sql_type(kind))
    body = ",\n    ".join(f"{quoted(n)} {line}" for n, line in zip(names, lines, strict=True))
    return f"CREATE TABLE {qualified(name)} (\n    {body}\n);"


def index_sql(
    table: Name,
    *,
    method: Literal["hnsw", "ivfflat"] = "hnsw",
    column: str = "code",
    name: str | None = None,
    m: int | None = None,
    ef_construction: int | None = None,
    lists: int | None = None,
) -> str:
    """Write the statement that creates an index of codes under the Hamming distance.

    Parameters
    ----------
    table : str or sequence of str
        Table, as in :func:`table_sql`.
    method : {"hnsw", "ivfflat"}, default="hnsw"
        Kind of the index. Both are approximate. HNSW takes longer to build, and can be built on an
        empty table; IVFFlat finds its centres among the rows that are there.
    column : str, default="code"
        Column of the codes.
    name : str, optional
        Name of the index; None: PostgreSQL's choice.
    m : int, optional
        HNSW: neighbours of a row, 2 to 100; None: pgvector's default.
    ef_construction : int, optional
        HNSW: candidates while building, 4 to 1000 and at least 2 `m`; None: pgvector's default.
    lists : int, optional
        IVFFlat: number of lists, 1 to 32768; None: pgvector's default.

    Returns
    -------
    str
        The statement.

    Raises
    ------
    TypeError
        If a name is no string.
    ValueError
        If a name is not allowed, the method is unknown, or an option is out of range or belongs to
        the other method.

    Notes
    -----
    pgvector indexes codes of up to 64,000 bits. A search asks HNSW for ``hnsw.ef_search`` rows, 40
    unless it is set, and IVFFlat for the rows of ``ivfflat.probes`` lists, 1 unless it is set;
    without ``hnsw.iterative_scan`` there are never more.

    Examples
    --------
    >>> print(index_sql("items", m=32))
    CREATE INDEX ON "items" USING hnsw ("code" bit_hamming_ops) WITH (m = 32);
    """
    options = {"m": m, "ef_construction": ef_construction, "lists": lists}
    limits = {
        "hnsw": {"m": (2, 100), "ef_construction": (4, 1000)},
        "ivfflat": {"lists": (1, 32768)},
    }
    if method not in limits:
        raise ValueError(f"method must be one of {', '.join(limits)}; got {method!r}")
    given = {key: value for key, value in options.items() if value is not None}
    if others := given.keys() - limits[method].keys():
        raise ValueError(f"{method} takes {', '.join(limits[method])}; got {', '.join(others)}")
    for key, value in given.items():
        check_whole(key, value, *limits[method][key])
    if method == "hnsw" and given.get("ef_construction", 64) < 2 * given.get("m", 16):
        raise ValueError(f"ef_construction must be at least 2 m, which is {2 * given.get('m', 16)}")
    settings = ", ".join(f"{key} = {value}" for key, value in given.items())
    named = f" {quoted(name)}" if name is not None else ""
    return (
        f"CREATE INDEX{named} ON {qualified(table)} USING {method} "
        f"({quoted(column)} bit_hamming_ops){f' WITH ({settings})' if settings else ''};"
    )


def search_sql(
    table: Name,
    *,
    n_bits: int | None = None,
    function: Name | None = None,
    k: int = 10,
    n_candidates: int | None = None,
    rerank: Literal["<->", "<=>", "<#>", "<+>"] | None = None,
    query: str = "$1",
) -> str:
    """Write the query that finds the nearest codes, and perhaps orders them by their vectors.

    Its rows are ``id`` and ``distance``, nearest first; rows of one distance are ordered by ``id``,
    as :class:`~hashlearn.HammingIndex` orders them.

    Parameters
    ----------
    table : str or sequence of str
        Table with the columns of :func:`table_sql`.
    n_bits : int, optional
        Length of the code that is searched for, if a code is.
    function : str or sequence of str, optional
        Function of :func:`function_sql`, if a vector is searched for. Give this or `n_bits`.
    k : int, default=10
        Number of rows.
    n_candidates : int, optional
        Number of rows in the shortlist: so many nearest codes are taken, in any order within one
        distance, and the best `k` of them returned. None: there is none.
    rerank : {"<->", "<=>", "<#>", "<+>"}, optional
        Distance of pgvector between vectors that orders the shortlist, and is returned: Euclidean,
        cosine, negative inner product or L1. It needs a function and a shortlist.
    query : str, default="$1"
        Placeholder of the code, as a text of 0 and 1, or of the vector: as ``"$1"``,
        ``"%(query)s"`` or ``":query"``, for the program that sends the query.

    Returns
    -------
    str
        The query.

    Raises
    ------
    TypeError
        If a name is no string.
    ValueError
        If a name, a number, the distance or the placeholder is not allowed, or what is searched for
        is not clear.

    Notes
    -----
    Without an index the answers are exact. With one the rows are the index's, which are
    approximate; ``SET hnsw.ef_search`` to at least `n_candidates` first. Without a shortlist, only
    newer PostgreSQL uses an index (18 was seen to): older ones sort all rows, because ``id`` takes
    part in the order. A shortlist may use it in any version.

    Examples
    --------
    >>> print(search_sql("items", function="hash_code", n_candidates=100, rerank="<=>"))
    SELECT "id", "embedding" <=> CAST($1 AS vector) AS distance
    FROM (
        SELECT "id", "embedding" FROM "items"
        ORDER BY "code" <~> (SELECT "hash_code"(CAST($1 AS vector))) LIMIT 100
    ) AS shortlist
    ORDER BY distance, "id" LIMIT 10;
    """
    check_whole("k", k, 1, _MAX_ROWS)
    if n_candidates is not None:
        check_whole("n_candidates", n_candidates, k, _MAX_ROWS)
    if not _PLACEHOLDER.fullmatch(query):
        raise ValueError(f"query must be a placeholder as $1, %(query)s or :query, got {query!r}")
    code = _code_of(query, n_bits, function)
    source, hamming = qualified(table), f'"code" <~> {code}'
    if rerank is not None:
        if rerank not in _DISTANCES:
            raise ValueError(f"rerank must be one of {', '.join(_DISTANCES)}; got {rerank!r}")
        if function is None or n_candidates is None:
            raise ValueError("rerank needs a function, which takes vectors, and n_candidates")
    exact = hamming if rerank is None else f'"embedding" {rerank} CAST({query} AS vector)'
    if n_candidates is not None:
        kept = '"code"' if rerank is None else '"embedding"'
        source = (
            f'(\n    SELECT "id", {kept} FROM {source}\n'
            f"    ORDER BY {hamming} LIMIT {n_candidates}\n) AS shortlist"
        )
    return f'SELECT "id", {exact} AS distance\nFROM {source}\nORDER BY distance, "id" LIMIT {k};'


def _code_of(query: str, n_bits: int | None, function: Name | None) -> str:
    if (n_bits is None) == (function is None):
        raise ValueError("give n_bits, to search for a code, or function, to search for a vector")
    if function is not None:  # in a query of its own, it is computed once and not for every row
        return f"(SELECT {qualified(function)}(CAST({query} AS vector)))"
    n_bytes(0 if n_bits is None else n_bits)
    return f"CAST({query} AS bit({n_bits}))"


def function_sql(model: Model, name: Name = "hash_code", *, replace: bool = False) -> str:
    """Write the statement that creates the hash function of a model in the database.

    The function takes a ``vector`` and gives its code, a ``bit`` string whose character j, counted
    from 0 on the left, is bit j. It may stand in generated columns, in indexes and in queries.

    Parameters
    ----------
    model : Hasher or Pipeline
        Fitted hasher that is one linear function a bit, such as ITQ or LSH; or a pipeline that ends
        in one, after StandardScaler, PCA, TruncatedSVD or, in the first place, Normalizer (l2).
    name : str or sequence of str, default="hash_code"
        Function, as ``"hash_code"``, ``"schema.hash_code"`` or ``("schema", "hash_code")``.
    replace : bool, default=False
        Whether it may replace a function of that name. Codes that are stored already stay those of
        the old one.

    Returns
    -------
    str
        The statement. It holds the weights as text, some 12 bytes each.

    Raises
    ------
    TypeError
        If the model is no linear function of its items.
    ValueError
        If the name is not allowed, or the vectors have more than 16,000 dimensions.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.

    Notes
    -----
    Of a hasher alone, the codes are those of ``encode``, to the last bit. pgvector's inner product
    is in single precision; where its value is nearer to 0 than its rounding can be wrong, the
    function adds up in double precision and in the order of :mod:`hashlearn.linear`. A pipeline
    computes its features in steps that are one matrix here, so that a bit may differ where its
    value is within rounding of 0.

    The function remembers the search path under which it is created, so that it finds pgvector
    where none is set, as while a dump is restored.

    Examples
    --------
    >>> import numpy as np
    >>> from hashlearn.hashers.shallow.lsh import LSH
    >>> hasher = LSH(4, random_state=0).fit(np.eye(3, dtype=np.float32))
    >>> print(function_sql(hasher)[:69])
    CREATE FUNCTION "hash_code"(x vector) RETURNS bit(4)
    LANGUAGE plpgsql
    """
    function = qualified(name)
    linear = fold(model)
    dim = linear.weights.shape[1]
    if dim > _MAX_DIM:
        raise ValueError(f"pgvector takes vectors of up to {_MAX_DIM:,} dimensions, got {dim:,}")
    create = "CREATE OR REPLACE FUNCTION" if replace else "CREATE FUNCTION"
    return write_function(f"{create} {function}", type(hasher_of(model)).__name__, linear)
