"""Makes every clip that the server ships: a notice for each refusal, films for the demo store.

Needs ffmpeg and the DejaVu fonts; run it after a change of `addon/playback/notice.py`:
`.venv/bin/python deploy/make_clips.py`.
"""

import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from addon.playback.notice import NOTICES, Notice

ROOT = Path(__file__).resolve().parent.parent
NOTICE_DIR = ROOT / "addon" / "playback" / "clips"
DEMO_DIR = ROOT / "addon" / "stores" / "clips"
FONTS = Path("/usr/share/fonts/truetype/dejavu")

NOTICE_SECONDS = 15
DEMO_SECONDS = 60
NOTICE_LIMIT_BYTES = 60_000
DEMO_LIMIT_BYTES = 1_500_000

# Baseline and AAC-LC play on every device that Stremio runs on. One thread and no tags: the same
# ffmpeg makes the same bytes wherever it runs.
VIDEO = (
    *("-c:v", "libx264", "-profile:v", "baseline", "-pix_fmt", "yuv420p", "-preset", "veryslow"),
    *("-threads", "1", "-flags:v", "+bitexact"),
)
AUDIO = (
    "-c:a",
    "aac",
    "-profile:a",
    "aac_low",
    "-ar",
    "48000",
    "-ac",
    "2",
    "-flags:a",
    "+bitexact",
)
CONTAINER = ("-map_metadata", "-1", "-fflags", "+bitexact", "-movflags", "+faststart")

A_MAJOR_HZ = (220.0, 277.18, 329.63)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of text; `baseline` is an ffmpeg expression, in pixels from the top."""

    text: str
    size: int
    baseline: str
    colour: str = "white"
    bold: bool = False


@dataclass(frozen=True, slots=True)
class DemoFilm:
    """One film of the demo store: its file, what it says, and how large it is."""

    name: str
    title: str
    width: int
    height: int
    level: str
    seed: int


DEMO_FILMS = (
    DemoFilm("film", "Chillproxy demo film", 1920, 1080, level="4.0", seed=11),
    DemoFilm("episode-1", "Chillproxy demo series S01E01", 1280, 720, level="3.1", seed=23),
    DemoFilm("episode-2", "Chillproxy demo series S01E02", 1280, 720, level="3.1", seed=37),
)


def wrap_evenly(text: str, width: int) -> list[str]:
    """Wrap into as few lines as `width` allows, all of much the same length."""
    rows = len(textwrap.wrap(text, width))
    longest_word = max(map(len, text.split()))
    tries = (textwrap.wrap(text, narrow) for narrow in range(longest_word, width + 1))
    return next(lines for lines in tries if len(lines) <= rows)


def notice_lines(notice: Notice) -> Iterator[Line]:
    """Lay out a notice on 1280x720: the block of title and advice stands in the middle."""
    title = wrap_evenly(notice.title, width=26)
    advice = wrap_evenly(notice.advice, width=46)
    top = (720 - 88 * len(title) - 40 - 58 * len(advice)) // 2
    for row, text in enumerate(title):
        yield Line(text, 68, str(top + 68 + 88 * row), bold=True)
    below = top + 88 * len(title) + 40
    for row, text in enumerate(advice):
        yield Line(text, 42, str(below + 42 + 58 * row), colour="0xc8d0dc")
    yield Line("A notice from the addon, not the video you chose", 26, "660", colour="0x8b95a5")


def draw(lines: Iterator[Line], scratch: Path, left: int) -> str:
    """Return drawtext filters for the lines; texts go through files, so nothing is escaped."""
    filters = []
    for number, line in enumerate(lines):
        text = scratch / f"{number}.txt"
        text.write_text(line.text, encoding="utf-8")
        font = FONTS / ("DejaVuSans-Bold.ttf" if line.bold else "DejaVuSans.ttf")
        filters.append(
            f"drawtext=fontfile={font}:textfile={text}:expansion=none:fontsize={line.size}"
            f":fontcolor={line.colour}:x={left}:y={line.baseline}-max_glyph_a"
        )
    return ",".join(filters)


def make_notice(notice: Notice, scratch: Path) -> Path:
    """Make the clip of one refusal: still text and silence, two frames a second."""
    target = NOTICE_DIR / f"{notice.code}.mp4"
    picture = f"color=c=0x12161d:s=1280x720:r=2,drawbox=x=96:y=0:w=8:h=ih:c={accent(notice)}:t=fill"
    ffmpeg(
        *("-f", "lavfi", "-i", f"{picture},{draw(notice_lines(notice), scratch, left=144)}"),
        *("-f", "lavfi", "-i", "anullsrc=r=48000:cl=stereo"),
        *("-t", str(NOTICE_SECONDS), *VIDEO, "-level", "3.1", "-crf", "24", "-tune", "stillimage"),
        *("-g", "30", *AUDIO, "-b:a", "32k", *CONTAINER, str(target)),
    )
    return target


def accent(notice: Notice) -> str:
    """Return the colour of the bar at the left."""
    return {"info": "0x4f8cff", "warning": "0xf2b134", "error": "0xe5534b"}[notice.level]


def demo_picture(film: DemoFilm, scratch: Path) -> str:
    """Return a filter graph: still gradient, two wandering shapes, title, clock, progress bar."""
    width, height = film.width, film.height
    unit = height // 12
    still = f"gradients=s={width}x{height}:r=1:c0=0x10243e:c1=0x3a1c4a:nb_colors=2:seed={film.seed}"
    ball = f"color=c=0x4f8cff:s={2 * unit}x{2 * unit}:r=24,format=yuva420p"
    round_off = (
        f"geq=lum='p(X,Y)':cb='p(X,Y)':cr='p(X,Y)':a='255*lt(hypot(X-{unit},Y-{unit}),{unit})'"
    )
    title = Line(film.title, unit, str(height // 2), bold=True)
    clock = (
        f"drawtext=fontfile={FONTS / 'DejaVuSans.ttf'}:timecode='00\\:00\\:00\\:00':r=24"
        f":fontsize={unit * 2 // 3}:fontcolor=0xc8d0dc:x={unit}:y=h-{2 * unit}"
    )
    wander = "x='(W-w)*(0.5+0.45*sin(t*{0}))':y='(H-h)*(0.5+0.40*cos(t*{1}))'"
    return ";".join(
        (
            f"{still},trim=end_frame=1,loop=-1:size=1,setpts=N/24/TB,fps=24[still]",
            f"{ball},{round_off}[ball]",
            f"color=c=0xf2b134:s={unit}x{unit}:r=24[box]",
            f"color=c=0xe5534b:s={width}x{unit // 5}:r=24[bar]",
            f"[still][ball]overlay={wander.format(0.50, 0.37)}[one]",
            f"[one][box]overlay={wander.format(0.31, 0.61)}[two]",
            f"[two][bar]overlay=x='-w+w*t/{DEMO_SECONDS}':y=H-h[three]",
            f"[three]{draw(iter((title,)), scratch, left=unit)},{clock}[out0]",
        )
    )


def demo_sound() -> str:
    """Return a filter graph: a quiet chord that swells and fades."""
    tones = ";".join(f"sine=f={hz}:r=48000[t{n}]" for n, hz in enumerate(A_MAJOR_HZ))
    inputs = "".join(f"[t{n}]" for n in range(len(A_MAJOR_HZ)))
    return (
        f"{tones};{inputs}amix=inputs={len(A_MAJOR_HZ)},tremolo=f=0.2:d=0.6,volume=0.5"
        f",afade=d=2,afade=t=out:st={DEMO_SECONDS - 3}:d=3,aformat=channel_layouts=stereo[out0]"
    )


def make_demo_film(film: DemoFilm, scratch: Path) -> Path:
    """Make one film of the demo store."""
    target = DEMO_DIR / f"{film.name}.mp4"
    ffmpeg(
        *("-f", "lavfi", "-i", demo_picture(film, scratch), "-f", "lavfi", "-i", demo_sound()),
        *("-t", str(DEMO_SECONDS), *VIDEO, "-level", film.level, "-crf", "27", "-g", "240"),
        *(*AUDIO, "-b:a", "48k", *CONTAINER, str(target)),
    )
    return target


def ffmpeg(*arguments: str) -> None:
    """Run ffmpeg; it says nothing unless something is wrong."""
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments], check=True)


def check_size(clip: Path, limit: int) -> None:
    """End the run when a clip is larger than the repository should carry."""
    size = clip.stat().st_size
    print(f"{size:>9,}  {clip.relative_to(ROOT)}")
    if size > limit:
        sys.exit(f"{clip.name} has {size:,} bytes, more than {limit:,}")


def remove_stale(directory: Path, made: set[Path]) -> None:
    """Delete clips that nothing names any more."""
    for clip in set(directory.glob("*.mp4")) - made:
        clip.unlink()


def main() -> None:
    """Make all clips anew."""
    if shutil.which("ffmpeg") is None or not FONTS.is_dir():
        sys.exit("ffmpeg and the DejaVu fonts are needed: apt-get install ffmpeg fonts-dejavu-core")
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        NOTICE_DIR.mkdir(exist_ok=True)
        notices = {make_notice(notice, scratch) for notice in NOTICES.values()}
        DEMO_DIR.mkdir(exist_ok=True)
        films = {make_demo_film(film, scratch) for film in DEMO_FILMS}
    for made, limit in ((notices, NOTICE_LIMIT_BYTES), (films, DEMO_LIMIT_BYTES)):
        for clip in sorted(made):
            check_size(clip, limit)
    remove_stale(NOTICE_DIR, notices)
    remove_stale(DEMO_DIR, films)


if __name__ == "__main__":
    main()
