"""Films as dictionaries."""


def entries_of(rows, rules):
    return [rules.entry({"id": str(i)} | dict(row)) for i, row in enumerate(rows)]
