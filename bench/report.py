# SPDX-License-Identifier: GPL-2.0-or-later
"""What the bench says: a table with means, and the bar chart. A row may lack the native or QEMU's figure."""
import math
import pathlib


def geometric_mean(values):
    return math.exp(sum(map(math.log, values)) / len(values))


def figure(value, width, digits, scale=1):
    """A number, or a dash where there is none."""
    return f"{'-':>{width}}" if value is None else f"{value / scale:{width}.{digits}f}"


def ratio(row, variant):
    seconds = row["seconds"]
    return seconds[variant] / seconds["native"] if variant in seconds and "native" in seconds else None


def print_table(rows):
    print(f"{'':20} {'native':>8} {'QEMU':>8} {'visor':>8}   {'QEMU/':>7} {'visor/':>7} {'QEMU/':>7}  {'peak MiB':>14}")
    print(f"{'CPU seconds':20} {'':8} {'':8} {'':8}   {'native':>7} {'native':>7} {'visor':>7}  {'QEMU':>7}{'visor':>7}")
    for row in rows:
        s, m = row["seconds"], row["memory_kib"]
        print(f"{row['name']:20} {figure(s.get('native'), 8, 3)} {figure(s.get('qemu'), 8, 3)} {s['visor']:8.3f}   "
              f"{figure(ratio(row, 'qemu'), 7, 1)} {figure(ratio(row, 'visor'), 7, 1)} "
              f"{figure(row['speedup'], 7, 2)}  {figure(m.get('qemu'), 7, 1, 1024)}{m['visor'] / 1024:7.1f}")


def print_mean(name, rows):
    """The geometric means of the rows that have a figure, and the row in which visor gains least over QEMU."""
    def mean(value):
        values = [value(r) for r in rows if value(r) is not None]
        return geometric_mean(values) if values else None
    compared = [r for r in rows if r["speedup"] is not None]
    least = min(compared, key=lambda r: r["speedup"]) if compared else None
    print(f"{name:47}   {figure(mean(lambda r: ratio(r, 'qemu')), 7, 1)} "
          f"{figure(mean(lambda r: ratio(r, 'visor')), 7, 1)} {figure(mean(lambda r: r['speedup']), 7, 2)}"
          + (f"  least: {least['speedup']:.2f}, {least['name']}" if least else ""))


def print_summary(rows):
    print_mean(f"geometric mean of all ({len(rows)})", rows)
    for group in dict.fromkeys(r["group"] for r in rows if r["group"]):
        members = [r for r in rows if r["group"] == group]
        print_mean(f"  of {group} ({len(members)})", members)
    if any("qemu" not in r["seconds"] for r in rows):
        print("-: this kernel does not let QEMU run these programs' children: that takes a binfmt_misc table for each "
              "user namespace (Linux 6.7)")


def write_svg(rows, path):
    bar, gap, left, width = 11, 9, 150, 560
    slowest = max([1] + [ratio(r, variant) or 0 for r in rows for variant in ("qemu", "visor")])
    height = 54 + len(rows) * (2 * bar + gap)
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left + width + 70}" height="{height}" '
           'font-family="sans-serif" font-size="12">',
           '<rect width="100%" height="100%" fill="white"/>',
           '<text x="10" y="20" font-size="14">Debian arm64 programs on x86-64: CPU time, native = 1 (shorter is '
           'better)</text>',
           f'<rect x="{left}" y="28" width="10" height="10" fill="#b8b8b8"/><text x="{left + 15}" y="37">QEMU</text>',
           f'<rect x="{left + 70}" y="28" width="10" height="10" fill="#2a7de1"/><text x="{left + 85}" y="37">visor'
           '</text>']
    y = 48
    for row in rows:
        out.append(f'<text x="{left - 8}" y="{y + bar + 4}" text-anchor="end">{row["name"]}</text>')
        for variant, colour in (("qemu", "#b8b8b8"), ("visor", "#2a7de1")):
            value = ratio(row, variant) or 0
            length, label = value / slowest * width, f"{value:.1f}" if value else "no figure"
            out.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar}" fill="{colour}"/>'
                       f'<text x="{left + length + 5:.1f}" y="{y + bar - 1}" font-size="10">{label}</text>')
            y += bar
        y += gap
    out.append("</svg>\n")
    pathlib.Path(path).write_text("\n".join(out))


def print_machine_mean(name, rows):
    mean = {clock: geometric_mean([r[f"{clock}_speedup"] for r in rows]) for clock in ("cpu", "wall")}
    least = min(rows, key=lambda r: r["cpu_speedup"])
    print(f"{name:37}   {mean['cpu']:7.2f}   {'':17}   {mean['wall']:7.2f}"
          f"  least: {least['cpu_speedup']:.2f}, {least['name']}")


def print_machine_rows(rows):
    """What bench/machine has measured in seconds."""
    if not rows:
        return
    print(f"{'':20} {'processor seconds':^27}   {'seconds of the clock':^27}")
    print(f"{'':20}" + 2 * f" {'QEMU':>7} {'visor':>8}   {'ratio':>7}  ")
    for row in rows:
        print(f"{row['name']:20}" + "  ".join(
            f" {row[c]['qemu']:7.3f} {row[c]['visor']:8.3f}   {row[c + '_speedup']:7.2f}" for c in ("cpu", "wall")))
    print("geometric means")
    for group in dict.fromkeys(r["group"] for r in rows):
        members = [r for r in rows if r["group"] == group]
        print_machine_mean(f"  {group} ({len(members)})", members)


def print_machine_figures(figures):
    """What bench/machine has measured otherwise."""
    def line(name, value, what):
        print(f"{name:20} QEMU {value('qemu')}, visor {value('visor')} {what}")
    if "idle" in figures:
        line("idle", lambda e: f"{figures['idle'][e]:.2f}", "% of a processor")
    if "memory" in figures:
        line("memory", lambda e: f"{figures['memory'][e] / (1 << 20):.1f}", "MiB over the guest's own")
    if "build" in figures:
        def gain(emulator):
            b = figures["build"][emulator]
            return (f"{b['gain']:.2f} ({b['wall'][0]:.1f} and {b['wall'][1]:.1f} s of the clock, "
                    f"{b['cpu'][0]:.1f} and {b['cpu'][1]:.1f} of processors)")
        line("make -j2, 2 CPUs", gain, "times as fast as 1 CPU")


def print_container_rows(rows):
    """What bench/containers has measured in milliseconds."""
    if not rows:
        return
    names = list(rows[0]["wall"])
    clocks = (("cpu", "milliseconds of processors"), ("wall", "milliseconds of the clock"))
    width = 8 * len(names) + 12 * (len(names) - 1)
    print(f"{'':24}" + "   ".join(f"{title:^{width}}" for _, title in clocks))
    head = "".join(f"{n:>8}" for n in names) + "".join(f"{'visor/' + n:>12}" for n in names[1:])
    print(f"{'':24}{head}   {head}")
    for row in rows:
        print(f"{row['name']:24}" + "   ".join(
            "".join(f"{row[c][n] * 1000:8.2f}" for n in names) +
            "".join(f"{row[c + '_ratio'][n]:12.3f}" for n in names[1:]) for c, _ in clocks))


def print_container_figures(figures):
    """What bench/containers has measured otherwise."""
    for name, f in figures.get("parallel", {}).items():
        print(f"200 at once, {name:11} {f['good']} run after {f['seconds']:.2f} s; "
              f"{f['gone']} deleted after {f['delete_seconds']:.2f} s")
    for name, f in figures.get("memory", {}).items():
        print(f"memory, {name:19} {f['processes']:.1f} processes stay by container: {f['pss']:.0f} KiB their share "
              f"(PSS), {f['uss']:.0f} KiB their own (USS)")
