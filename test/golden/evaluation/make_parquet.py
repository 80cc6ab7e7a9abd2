"""Small WikiText-like data sets as the Hub has them: rows of a text column in Parquet, and the file that they came from.

    python test/golden/evaluation/make_parquet.py      # needs pyarrow; harness_pages.txt beside it

rows.txt is the file; rows_*.parquet hold its lines as the data-set loader makes them (a line of blanks is the empty string), with
Snappy and a dictionary in several row groups, plain and uncompressed, and with another column before it.
"""
from pathlib import Path
import pyarrow as pa, pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent


def main():
    lines = (HERE / "harness_pages.txt").read_bytes().decode().split("\n")[:24] + [" é 你好 @-@ \U0001f40b ", " "]
    lines = [line if line.strip() else " " for line in lines]
    (HERE / "rows.txt").write_bytes("".join(line + "\n" for line in lines).encode())
    rows = [line + "\n" if line.strip() else "" for line in lines]
    table = pa.table({"text": pa.array(rows, pa.string())})
    pq.write_table(table, HERE / "rows_snappy.parquet", compression="snappy", row_group_size=9)
    pq.write_table(table, HERE / "rows_plain.parquet", compression="none", use_dictionary=False, data_page_version="2.0")
    pq.write_table(pa.table({"id": pa.array(range(len(rows))), "text": table["text"]}), HERE / "rows_two_columns.parquet", compression="snappy", data_page_size=256)


if __name__ == "__main__":
    main()
