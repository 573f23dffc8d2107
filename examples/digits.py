"""Learn 32-bit codes for scanned digits, search them, and show what a query finds."""

import hashlearn

digits = hashlearn.load_dataset("digits")
X = digits.X.reshape(len(digits), -1)
database, queries = slice(0, 1700), slice(1700, None)

hasher = hashlearn.get_method("itq")(n_bits=32, random_state=0).fit(X[database])
index = hashlearn.HammingIndex(n_bits=32)
index.add(hasher.encode(X[database]))
found = index.search(hasher.encode(X[queries]), k=5)

for label, ids, distances in zip(digits.y[queries][:5], found.ids, found.distances, strict=False):
    neighbours = ", ".join(
        f"{digits.y[id_]} at {distance} bits" for id_, distance in zip(ids, distances, strict=True)
    )
    print(f"a {label} finds {neighbours}")
share = (digits.y[found.ids] == digits.y[queries][:, None]).mean()
print(f"{share:.0%} of the 5 nearest codes are of the query's class, with 4 bytes an item")
