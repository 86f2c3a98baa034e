"""The limits that this software sets on what it takes in, each with its reason."""

from typing import Final

# A workbook is unpacked into memory whole, at ten to twenty times its size. 20 MB hold about 250,000
# rows of the platform's export; a larger month comes as CSV, which is read as a stream.
XLSX_MAX_BYTES: Final = 20_000_000

# XML of spreadsheets packs five to twelve times; more than twenty times is no table but a bomb.
XLSX_MAX_UNPACKED_BYTES: Final = 400_000_000

# The workbook reader keeps a sheet as one rectangle of 32 bytes a cell, so that a single stray cell in
# the last row and column would ask for 550 GB. 10 million cells are 320 MB: 500,000 rows of 20 columns.
SHEET_MAX_CELLS: Final = 10_000_000

# Every cell of text is a copy of its own to the reader, though a workbook stores equal texts once: a
# file of 500 KB can ask for 9 GB. 100 million characters are 400 in each of 250,000 rows.
SHEET_MAX_TEXT_CHARS: Final = 100_000_000

# One record of a CSV stays in memory: a quotation mark that is never closed must not draw in the file.
CSV_RECORD_MAX_CHARS: Final = 1_000_000

# How much of a text is looked at to find its encoding and its separator: many rows, read at once.
TEXT_SAMPLE_BYTES: Final = 64_000

# Titles, units and notes stand above a table, never a screen full of them.
HEADER_SEARCH_ROWS: Final = 20

# Excel ends at row 1,048,576; the first is the heading, the last says how many lines were left out.
PROBLEM_SHEET_MAX_LINES: Final = 1_048_574

# Excel refuses a longer text in a cell.
SHEET_CELL_MAX_CHARS: Final = 32_767

# A policy fills a few pages; the shipped one has 8 KB.
POLICY_MAX_BYTES: Final = 256_000

# One call is one transaction and one answer: 50,000 rows are about 100,000 events and 300 MB of memory.
RETURNS_MAX_ROWS: Final = 50_000

# 50,000 rows with every figure, source and reason stay under it.
BODY_MAX_BYTES: Final = 32 * 1024 * 1024
