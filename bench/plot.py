"""The rate of messages by their size, drawn by gnuplot where it is installed: one picture an enctype,
in the build directory."""
import os
import shutil
import subprocess


def draw(rows, directory):
    """rows: (etype, op, size, ours, mit, bound), times in ns or None. Writes messages.tsv, and
    messages-ETYPE.svg; returns what was written."""
    table = os.path.join(directory, "messages.tsv")
    with open(table, "w") as out:
        out.write("etype\top\tsize\tkerbside ns\tMIT ns\tOpenSSL ns\n")
        for row in rows:
            out.write("\t".join("" if field is None else str(field) for field in row) + "\n")
    written = [table]
    if shutil.which("gnuplot"):
        for etype in dict.fromkeys(row[0] for row in rows):
            mine = [row for row in rows if row[0] == etype]
            if len({row[2] for row in mine}) > 1:
                written.append(picture(etype, mine, directory))
    return written


def picture(etype, rows, directory):
    path = os.path.join(directory, f"messages-{etype}.svg")
    ops = list(dict.fromkeys(row[1] for row in rows))
    columns = min(4, len(ops))
    lines = -(-len(ops) // columns)
    script = [f"set terminal svg size {320 * columns},{240 * lines + 40} font ',10'",
              f"set output '{path}'",
              f"set multiplot layout {lines},{columns} title '{etype}: MB/s by size of the message'",
              "set logscale xy", "set key bottom right", "set grid", "set format x '%.0b %BB'",
              "set xtics 64,16,1048576", "set xrange [48:1500000]"]
    for op in ops:
        script.append(f"set title '{op}' noenhanced")
        curves = []
        for column, name, style in ((5, "OpenSSL", "lw 3 lc 'gray'"), (4, "MIT", "lc 'red'"),
                                    (3, "kerbside", "lw 2 lc 'blue'")):
            points = [(row[2], row[2] * 1000 / row[column]) for row in rows
                      if row[1] == op and row[column]]
            if points:
                block = f"$d{len(script)}_{column}"
                script += [f"{block} << EOD", *[f"{x} {y:.3f}" for x, y in points], "EOD"]
                curves.append(f"{block} with linespoints pt 7 ps 0.4 {style} title '{name}'")
        script.append("plot " + ", ".join(curves))
    script.append("unset multiplot")
    subprocess.run(["gnuplot"], input="\n".join(script) + "\n", text=True, check=True)
    return path
