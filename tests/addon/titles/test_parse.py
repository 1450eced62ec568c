"""What names are read as: one row for each habit of the people who name releases."""

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from addon.titles import name as name_module
from addon.titles.languages import CODES
from addon.titles.parse import (
    PARSER_VERSION,
    Audio,
    Channels,
    Codec,
    Flag,
    Hdr,
    QualityClass,
    Release,
    Resolution,
    Source,
    class_of,
    parse_release,
)
from addon.titles.text import clean


def row(name: str, **expected: Any) -> Any:
    return pytest.param(name, expected, id=name)


def check(name: str, expected: dict[str, Any]) -> None:
    release = parse_release(name)
    assert {field: getattr(release, field) for field in expected} == expected


def flags_of(name: str) -> Flag:
    return Flag(parse_release(name).flags)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        row("Copper.Lantern.2019.2160p.WEB-DL.x265-KITE", resolution=Resolution.P2160),
        row("Copper Lantern (2019) [1080p] [BluRay]", resolution=Resolution.P1080),
        row("Copper.Lantern.2019.1080i.HDTV.MPEG2", resolution=Resolution.P1080),
        row("Copper.Lantern.2019.720p.WEBRip", resolution=Resolution.P720),
        row("Copper.Lantern.2019.576p.DVDRip", resolution=Resolution.P576),
        row("Copper.Lantern.2019.540p.HDTV", resolution=Resolution.P540),
        row("Copper.Lantern.2019.480p.DVDRip", resolution=Resolution.P480),
        row("Copper.Lantern.2019.360p.WEB", resolution=Resolution.P360),
        row("Copper.Lantern.2019.240p", resolution=Resolution.P240),
        row("Copper.Lantern.2019.144p", resolution=Resolution.P240),
        row("Copper.Lantern.2019.1440p.WEB", resolution=Resolution.P1440),
        row("Copper.Lantern.2019.4320p.WEB", resolution=Resolution.P4320),
        row("Copper.Lantern.2019.8K.WEB.1x01", resolution=Resolution.P4320),
        row("Copper.Lantern.2019.4K.HDR.WEB", resolution=Resolution.P2160),
        row("Copper.Lantern.2019.4Kto1080p.WEB", resolution=Resolution.P1080),
        row("Copper.Lantern.2019.NFHD.720p.WEB", resolution=Resolution.P720),
        row("Copper.Lantern.2019.FHD.WEB", resolution=Resolution.P1080),
        row("Copper.Lantern.2019.QHD.WEB", resolution=Resolution.P1440),
        row("Copper.Lantern.2019.UHD.BluRay-KITE", resolution=Resolution.P2160),
        row("Copper.Lantern.2019.UHD.BD66-KITE", resolution=Resolution.P2160),
        row("Copper.Lantern.2019.UHDBD.x265", resolution=Resolution.P2160),
        row("Copper.Lantern.2019.1080p.UHD.BluRay", resolution=Resolution.P1080),
        row("Copper Lantern 2019 1920x800 x264", resolution=Resolution.P1080),
        row("Copper Lantern 2019 3840x1600 x265", resolution=Resolution.P2160),
        row("Copper Lantern 2019 2560x1080 x265", resolution=Resolution.P1440),
        row("Copper Lantern 2019 1280x528 x264", resolution=Resolution.P720),
        row("Copper Lantern 2019 704x480 XviD", resolution=Resolution.P480),
        row("Copper Lantern 2019 7680x4320 AV1", resolution=Resolution.P4320),
        row("Copper.Lantern.2019.816p.BluRay", resolution=Resolution.P720),
        row("Copper.Lantern.2019.1036p.BluRay", resolution=Resolution.P1080),
        row("Copper.Lantern.2019.BDRip.XviD", resolution=Resolution.UNKNOWN),
        row("Copper.Lantern.2019.1080p60.WEB", resolution=Resolution.P1080),
    ],
)
def test_resolution_is_read(name: str, expected: dict[str, Any]) -> None:
    check(name, expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        row("Glass.Ferry.2018.CAM.x264-OAR", source=Source.CAM),
        row("Glass.Ferry.2018.NEWCAM.x264-OAR", source=Source.CAM),
        row("Glass.Ferry.2018.HDCAM.x264-OAR", source=Source.CAM),
        row("Glass Ferry 2018 HQCAM", source=Source.CAM),
        row("Glass.Ferry.2018.CAMRip.XviD", source=Source.CAM),
        row("Glass.Ferry.2018.720p.HQ.CAM", source=Source.CAM),
        row("Glass.Ferry.2018.HDTS.1080p", source=Source.TELESYNC),
        row("Glass.Ferry.2018.TS.XviD-OAR", source=Source.TELESYNC),
        row("Glass.Ferry.2018.TS", source=Source.TELESYNC, container=""),
        row("Glass.Ferry.S01E02.HDTV.TS", source=Source.HDTV, container="ts"),
        row("Glass.Ferry.2018.TELESYNC.x264", source=Source.TELESYNC),
        row("Glass.Ferry.2018.PreTS.x264", source=Source.TELESYNC),
        row("Glass.Ferry.2018.HDTC.x264", source=Source.TELECINE),
        row("Glass.Ferry.2018.DVDScr.XviD", source=Source.SCREENER),
        row("Glass.Ferry.2018.R5.XviD-OAR", source=Source.R5),
        row("Glass.Ferry.2018.WORKPRINT.XviD", source=Source.WORKPRINT),
        row("Glass.Ferry.2018.PPVRip.XviD", source=Source.PPV_RIP),
        row("Glass.Ferry.1988.VHSRip.x264", source=Source.VHS),
        row("Glass.Ferry.S01E02.DSR.XviD-OAR", source=Source.TV_RIP),
        row("Glass.Ferry.S01E02.PDTV.XviD-OAR", source=Source.TV_RIP),
        row("Glass.Ferry.S01E02.SATRip.x264", source=Source.TV_RIP),
        row("Glass.Ferry.S01E02.HDTVRip.x264", source=Source.HDTV_RIP),
        row("Glass.Ferry.S01E02.720p.HDTV.x264-OAR", source=Source.HDTV),
        row("Glass.Ferry.S01E02.720p.HDTV.x264-OAR.ts", source=Source.HDTV, container="ts"),
        row("Glass.Ferry.2001.DVDRip.XviD", source=Source.DVD_RIP),
        row("Glass.Ferry.2001.xvidvd-OAR", source=Source.DVD_RIP, codec=Codec.XVID),
        row("Glass.Ferry.2001.PAL.MDVDR-OAR", source=Source.DVD),
        row("Glass.Ferry.2001.NTSC.DVD9-OAR", source=Source.DVD),
        row("Glass.Ferry.2001.DVD5", source=Source.DVD),
        row("Glass.Ferry.2001.PAL.DVD.REMUX", source=Source.DVD_REMUX),
        row("Glass.Ferry.2018.1080p.HDRip.x264", source=Source.HD_RIP),
        row("Glass.Ferry.2018.WEB-DLRip.AVC", source=Source.WEB_DL_RIP),
        row("Glass.Ferry.2018.1080p.WEBRip.x264", source=Source.WEB_RIP),
        row("Glass.Ferry.2018.1080p.WEB.h264-OAR", source=Source.WEB),
        row("Glass.Ferry.2018.WebHD.1080p", source=Source.WEB),
        row("Glass.Ferry.2018.NetflixUHD.2160p", source=Source.WEB),
        row("Glass.Ferry.2018.iTunesHD.1080p", source=Source.WEB),
        row("Glass.Ferry.2018.1080p.WEB-DL.DDP5.1", source=Source.WEB_DL),
        row("Glass.Ferry.2018.1080p.WEB-DL.REMUX", source=Source.WEB_DL),
        row("Glass.Ferry.2018.1080p.BRRip.x264", source=Source.BR_RIP),
        row("Glass.Ferry.2018.1080p.BDRip.x264", source=Source.BD_RIP),
        row("Glass.Ferry.2006.720p.HDDVDRip.x264", source=Source.BD_RIP),
        row("Glass.Ferry.2018.2160p.UHDRip.x265", source=Source.UHD_RIP),
        row("Glass.Ferry.2018.1080p.BluRay.x264", source=Source.BLURAY),
        row("Glass.Ferry.2006.720p.HD-DVD.x264", source=Source.BLURAY),
        row("Glass.Ferry.2010.BDMux.1080p", source=Source.BLURAY),
        row("[Oar] Glass Ferry [BD1080p]", source=Source.BLURAY),
        row("Glass Ferry (2010 BD MP3)", source=Source.BLURAY),
        row("Glass.Ferry.2015.MBluRay.x264-OAR", source=Source.BLURAY),
        row("Glass.Ferry.2015.BDISO", source=Source.DISC),
        row("Glass.Ferry.2015.1080p.BluRay.iso", source=Source.DISC, container="iso"),
        row("Glass.Ferry.2015.COMPLETE.UHD.BLURAY-OAR", source=Source.DISC),
        row("Glass.Ferry.2015.1080p.BluRay.REMUX.AVC", source=Source.REMUX),
        row("Glass.Ferry.2015.1080p.BDRemux.AVC", source=Source.REMUX),
        row("Glass.Ferry.2015.1080p.REMUX", source=Source.REMUX),
        row("Glass.Ferry.S01.1080i.HDTV.Remux", source=Source.HDTV),
        row("Glass.Ferry.2018.1080p", source=Source.UNKNOWN),
        row("Glass.Ferry.HD.2018.1080p", source=Source.UNKNOWN),
        row("Cam.2018.1080p.WEB-DL", source=Source.WEB_DL, title="Cam"),
        row("Cam.2018.1080p", source=Source.UNKNOWN, title="Cam"),
        row("Web.of.Ferries.S01E02.720p.HDTV", source=Source.HDTV, title="Web of Ferries"),
    ],
)
def test_source_is_read(name: str, expected: dict[str, Any]) -> None:
    check(name, expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        row("Iron.Meadow.2020.1080p.BluRay.x264", codec=Codec.AVC),
        row("Iron.Meadow.2020.1080p.WEB.H.264", codec=Codec.AVC),
        row("Iron.Meadow.2020.1080p.BluRay.AVC", codec=Codec.AVC),
        row("Iron.Meadow.2020.2160p.WEB.H265", codec=Codec.HEVC),
        row("Iron Meadow 2020 2160p HEVC 10bit", codec=Codec.HEVC),
        row("Iron.Meadow.2020.1080p.WEB.AV1", codec=Codec.AV1),
        row("Iron.Meadow.2002.DVDRip.XviD", codec=Codec.XVID),
        row("Iron.Meadow.2002.DVDRip.DivX", codec=Codec.XVID),
        row("Iron.Meadow.2002.DVDRip.MPEG4", codec=Codec.XVID),
        row("Iron.Meadow.2002.1080i.HDTV.MPEG-2", codec=Codec.MPEG2),
        row("Iron.Meadow.2008.1080p.BluRay.VC-1", codec=Codec.VC1),
        row("Iron.Meadow.2020.2160p.WEB.VP9", codec=Codec.VP9),
        row("Iron.Meadow.2020.1080p.WEB", codec=Codec.UNKNOWN),
        row("Iron.Meadow.2020.2160p.WEB.DV.HDR10+.H265", hdr=Hdr.DV | Hdr.HDR10_PLUS | Hdr.TEN_BIT),
        row("Iron.Meadow.2020.2160p.WEB.DoVi.HDR.H265", hdr=Hdr.DV | Hdr.HDR10),
        row("Iron.Meadow.2020.2160p.WEB.Dolby.Vision.H265", hdr=Hdr.DV),
        row("Iron.Meadow.2020.2160p.WEB.HDR10P.H265", hdr=Hdr.HDR10_PLUS),
        row("Iron.Meadow.2020.2160p.WEB.HDR10Plus.H265", hdr=Hdr.HDR10_PLUS),
        row("Iron.Meadow.2020.2160p.WEB.HDR.H265", hdr=Hdr.HDR10),
        row("Iron.Meadow.2020.2160p.HLG.HEVC", hdr=Hdr.HLG),
        row("Iron.Meadow.2020.2160p.SDR.HEVC", hdr=Hdr(0)),
        row("Iron.Meadow.2020.1080p.BluRay.10bit.x265", hdr=Hdr.TEN_BIT),
        row("Iron.Meadow.2020.1080p.BluRay.8bit.x264", hdr=Hdr(0)),
    ],
)
def test_codec_and_dynamic_range_are_read(name: str, expected: dict[str, Any]) -> None:
    check(name, expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        row("Paper.Tide.2021.TrueHD.7.1.Atmos.1080p", audio=Audio.TRUEHD | Audio.ATMOS),
        row("Paper.Tide.2021.1080p.DDP5.1.Atmos", audio=Audio.DD_PLUS | Audio.ATMOS),
        row("Paper.Tide.2021.1080p.EAC3", audio=Audio.DD_PLUS),
        row("Paper.Tide.2021.1080p.DD5.1", audio=Audio.DD),
        row("Paper.Tide.2021.1080p.AC3", audio=Audio.DD),
        row("Paper.Tide.2021.1080p.AAC2.0", audio=Audio.AAC, channels=Channels.STEREO),
        row("Paper.Tide.2021.1080p.FLAC.x264", audio=Audio.FLAC),
        row("Paper.Tide.2021.1080p.LPCM.x264", audio=Audio.PCM),
        row("Paper.Tide.2021.1080p.OPUS", audio=Audio.OPUS),
        row("Paper.Tide.2003.DVDRip.MP3", audio=Audio.MP3),
        row("Paper.Tide.2003.DVDRip.Vorbis", audio=Audio.VORBIS),
        row("Paper.Tide.2021.1080p.DTS.x264-OAR", audio=Audio.DTS),
        row("Paper.Tide.2021.1080p.DTS-ES.6.1", audio=Audio.DTS_ES, languages=()),
        row("Paper.Tide.2021.1080p.DTS-HD.x264", audio=Audio.DTS_HD),
        row("Paper.Tide.2021.1080p.DTS-HD.HRA.5.1", audio=Audio.DTS_HD),
        row("Paper.Tide.2021.1080p.DTS-HD.MA.5.1", audio=Audio.DTS_HD_MA),
        row("Paper.Tide.2021.1080p.DTS-X.7.1", audio=Audio.DTS_X),
        row("Paper.Tide.2021.1080p.DTS-X.7.1.x264", channels=Channels.SURROUND_7_1),
        row("Paper.Tide.2021.1080p.DTS-ES.6.1.x264", channels=Channels.SURROUND_6_1),
        row("Paper.Tide.2021.1080p.DDP5.1", channels=Channels.SURROUND_5_1),
        row("Paper.Tide.1951.1080p.FLAC.1.0.x264", channels=Channels.MONO),
        row("Paper.Tide.1951.1080p.Mono.x264", channels=Channels.MONO),
        row("Paper.Tide.2021.1080p.x264", audio=Audio(0), channels=Channels.UNKNOWN),
    ],
)
def test_sound_is_read(name: str, expected: dict[str, Any]) -> None:
    check(name, expected)


@pytest.mark.parametrize(
    ("name", "languages"),
    [
        ("Salt.Orchard.2019.French.HDTV.720p", ("fr",)),
        ("Salt.Orchard.2019.TRUEFRENCH.1080p.WEB", ("fr",)),
        ("Salt.Orchard.2019.Icelandic.1080p.WEB-DL", ("is",)),
        ("Salt.Orchard.2019.BGAUDIO.1080p", ("bg",)),
        ("Salt.Orchard.S01E01.Rumantsch.720p", ("rm",)),
        ("Salt.Orchard.S01E01.GERMAN.DL.720p.WEB", ("de",)),
        ("Salt Orchard 2019 Dual Audio Hindi English 720p", ("en", "hi")),
        ("Salt.Orchard.2019.1080p.WEB.Latino", ("es",)),
        ("Salt.Orchard.2019.1080p.WEB.Castellano", ("es",)),
        ("Salt.Orchard.2019.1080p.WEB.Catalan", ("ca",)),
        ("Salt.Orchard.2019.1080p.WEB.ITA.ENG", ("en", "it")),
        ("Salt.Orchard.2019.1080p.WEB", ()),
        ("The.French.Orchard.2019.1080p.BluRay", ()),
        ("The.French.Orchard.2019.1080p.BluRay.German", ("de",)),
        ("Соль и Сад / Salt and Orchard (2019) BDRip 1080p", ("ru",)),
        ("Salt.Orchard.2019.Ukrainian.Polish.1080p", ("pl", "uk")),
        ("Salt.Orchard.2019.1080p.ıtalian", ()),
    ],
    ids=str,
)
def test_languages_are_read_behind_the_title(name: str, languages: tuple[str, ...]) -> None:
    assert parse_release(name).languages == languages


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        row("Quiet.Engine.S01E05.720p", seasons=(1,), episodes=(5,), title="Quiet Engine"),
        row("Quiet.Engine.s1e5.720p", seasons=(1,), episodes=(5,)),
        row("Quiet.Engine.1x05.720p", seasons=(1,), episodes=(5,)),
        row("Quiet Engine Season 1 Episode 5", seasons=(1,), episodes=(5,)),
        row("Quiet.Engine.S07E22 - S07E23.720p", seasons=(7,), episodes=(22, 23)),
        row("Quiet Engine 8x01_02 HDTV", seasons=(8,), episodes=(1, 2)),
        row("Quiet Engine [02x01-x02] HDTV", seasons=(2,), episodes=(1, 2)),
        row("Quiet.Engine.1x01-1x03.HDTV", seasons=(1,), episodes=(1, 2, 3)),
        row("Quiet.Engine.S6.E1-S6E2.1080p", seasons=(6,), episodes=(1, 2)),
        row(
            "Quiet Engine S42 Ep10718 - Ep10722",
            seasons=(42,),
            episodes=(10718, 10719, 10720, 10721, 10722),
        ),
        row("Quiet.Engine.S01E01E02E03.720p", seasons=(1,), episodes=(1, 2, 3)),
        row("Quiet.Engine.S01E01-E03.720p", seasons=(1,), episodes=(1, 2, 3)),
        row("Quiet.Engine.S01E01-03.1080p", seasons=(1,), episodes=(1, 2, 3)),
        row("Quiet.Engine.S1E1-3.720p", seasons=(1,), episodes=(1, 2, 3)),
        row("Quiet.Engine.S01E01+E05.720p", seasons=(1,), episodes=(1, 5)),
        row("Quiet.Engine.S01E01&E02.720p", seasons=(1,), episodes=(1, 2)),
        row("Quiet.Engine.S01E99-100.720p", seasons=(1,), episodes=(99, 100)),
        row("Quiet.Engine.S01E05-720p", seasons=(1,), episodes=(5,)),
        row("Quiet.Engine.S01E05-10bit", seasons=(1,), episodes=(5,)),
        row("Quiet.Engine.S01E05-5.1.x264", seasons=(1,), episodes=(5,)),
        row("Quiet.Engine.S01E05-2019.WEB", seasons=(1,), episodes=(5,)),
        row("Quiet.Engine.S01E05.x264", seasons=(1,), episodes=(5,)),
        row("Quiet Engine 1x02 x264", seasons=(1,), episodes=(2,)),
        row("Quiet.Engine.S01E05-S01E03", seasons=(1,), episodes=(5,)),
        row("Quiet.Engine.S01E05v2.720p", seasons=(1,), episodes=(5,)),
        row("Quiet.Engine.S01E01-S02E10.720p", seasons=(1, 2), episodes=()),
        row("Quiet.Engine.S01E01-S900E10.720p", seasons=(1,), episodes=(1,)),
        row("Quiet.Engine.S01E01-E9999.720p", seasons=(1,), episodes=()),
        row("Quiet.Engine.S900E05.720p", seasons=(), episodes=(5,)),
        row("Motor Callado Cap.101 HDTV", seasons=(1,), episodes=(1,)),
        row("Motor Callado Cap.1503_1506 HDTV", seasons=(15,), episodes=(3, 4, 5, 6)),
        row("Motor Callado [HDTV][Cap.209]", seasons=(2,), episodes=(9,)),
        row("Motor Callado Temporada 2 Cap.209", seasons=(2,), episodes=(9,)),
        row("Motor Callado Temporada 2 Cap.101", seasons=(2,), episodes=(101,)),
        row("Motor Callado Temporada 2 Cap.05", seasons=(2,), episodes=(5,)),
        row("Motor Callado Cap.100", seasons=(), episodes=(100,)),
        row("Motor Callado Cap.109_201", seasons=(1,), episodes=(9,)),
        row("Motore Quieto Stagione 3 1080p ITA", seasons=(3,), episodes=(), title="Motore Quieto"),
        row("Motore Quieto Stagioni 1-3 1080p", seasons=(1, 2, 3)),
        row("Stille Motor Se.3 afl.3 DVB", seasons=(3,), episodes=(3,)),
        row("Stiller Motor Staffel 2 720p", seasons=(2,), title="Stiller Motor"),
        row("Stiller Motor Staffel 2 Folge 5 720p", seasons=(2,), episodes=(5,)),
        row("Stiller Motor 2. Staffel 720p", seasons=(2,)),
        row("Stiller Motor Staffel 1 bis 5", seasons=(1, 2, 3, 4, 5)),
        row("Staffel 2 Stiller Motor 720p", seasons=(2,), title="Stiller Motor"),
        row("Sessiz Motor 2.Sezon 5.Bölüm 1080p", seasons=(2,), episodes=(5,)),
        row("Csendes Motor 2. évad 5. rész", seasons=(2,), episodes=(5,)),
        row("Moteur Calme Saison 2 1080p", seasons=(2,)),
        row("Тихий мотор (2 сезон) 1080p", seasons=(2,)),
        row("Quiet.Engine.S2014E05.720p.HDTV", seasons=(2014,), episodes=(5,)),
        row("Quiet.Engine.S2014.720p.HDTV", seasons=(2014,), episodes=()),
        row("Quiet.Engine.S02.1080p", seasons=(2,), episodes=()),
        row("Quiet.Engine.S01-S05.1080p", seasons=(1, 2, 3, 4, 5), episodes=()),
        row("Quiet Engine Season 1-5 1080p", seasons=(1, 2, 3, 4, 5)),
        row("Quiet.Engine.S00E01.720p", seasons=(0,), episodes=(1,)),
        row("[Oar] Quiet Engine - 05 [1080p].mkv", seasons=(), episodes=(5,), group="Oar"),
        row("[Oar] Quiet Engine - 1071 (1080p) [1A2B3C4D].mkv", episodes=(1071,)),
        row("[Oar] Quiet Engine S2 - 05 [720p]", seasons=(2,), episodes=(5,)),
        row("[Oar] Quiet Engine S2 - 05v2 [720p]", seasons=(2,), episodes=(5,)),
        row("[Oar] Quiet Engine 2nd Season - 05 [720p]", seasons=(2,), episodes=(5,)),
        row("[Oar] Quiet Engine (01-12) [1080p]", seasons=(), episodes=tuple(range(1, 13))),
        row("Quiet Engine - 01-24 (BD 1080p)", episodes=tuple(range(1, 25))),
        row("Quiet.Engine.103.720p.HDTV", seasons=(), episodes=()),
        row("Quiet.Engine.1-3.Trilogy.1999.1080p", seasons=(), episodes=()),
        row("Quiet.Engine.2019.1080p", seasons=(), episodes=()),
    ],
)
def test_season_and_episode_are_read(name: str, expected: dict[str, Any]) -> None:
    check(name, expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        row("Blue.Harvest.2011.1080p", title="Blue Harvest", year=2011),
        row("1987.S01E02.1080p.WEB", title="1987", year=None),
        row("2031.1080p.BluRay.x264", title="2031", year=None),
        row("2031.2009.1080p.BluRay", title="2031", year=2009),
        row("1961 (1956) 720p", title="1961", year=1956),
        row("Blue.Harvest.2049.2017.1080p", title="Blue Harvest 2049", year=2017),
        row("A.Complete.Harvest.2024.1080p.WEB", title="A Complete Harvest", year=2024),
        row("www.example.com - Blue Harvest 2019 720p", title="Blue Harvest", year=2019),
        row("[Oar] Blue Harvest [1080p]", title="Blue Harvest", group="Oar"),
        row("Blue Harvest (1999-2007) Complete", title="Blue Harvest", year=1999),
        row("Blue.Harvest.2024.03.05.Guest.1080p.WEB", aired_on=date(2024, 3, 5)),
        row("Blue.Harvest.2024-03-05.1080p", aired_on=date(2024, 3, 5)),
        row("Blue.Harvest.S01E01.1080p", aired_on=None),
        row("Blue.Harvest.US.S03E05.720p", title="Blue Harvest", country="US"),
        row("Blue Harvest (UK) S03E05 720p", country="UK"),
        row("Blue.Harvest.1999.UK.BluRay.1080p", country=""),
        row("Blue.Harvest.2019.1080p.WEB-DL.x264-KITE", group="KITE"),
        row("Blue.Harvest.2019.1080p.WEB-DL.x264-KITE-Obfuscated.mkv", group="KITE"),
        row("Blue.Harvest.2019.1080p.WEB-DL.x264-KITE.mkv", group="KITE", container="mkv"),
        row("Blue.Harvest.2019.1080p.mkv.torrent", container="mkv"),
        row("Blue.Harvest.2019.1080p.nzb", container=""),
        row("Harvest", title="Harvest"),
        row("", title=""),
        row("   ", title=""),
        row("S01E05", title="", seasons=(1,), episodes=(5,)),
        row("XXX.2002.1080p", title="XXX", year=2002),
        row(
            "Синяя Жатва / Blue Harvest (2019) BDRip",
            titles_norm=("blue harvest", "синяя жатва"),
        ),
        row("Blue Harvest AKA Niebieskie Żniwa 2019 1080p", year=2019),
    ],
)
def test_title_and_what_surrounds_it_are_read(name: str, expected: dict[str, Any]) -> None:
    check(name, expected)


def test_every_name_of_a_release_is_kept() -> None:
    release = parse_release("Blue Harvest AKA Niebieskie Żniwa 2019 1080p")

    assert {"blue harvest", "niebieskie zniwa"} <= set(release.titles_norm)


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("Red.Kettle.2019.PROPER.1080p.WEB", Flag.PROPER),
        ("Red.Kettle.2019.REPACK.1080p.WEB", Flag.REPACK),
        ("Red.Kettle.2019.HC.1080p.WEB", Flag.HARDCODED),
        ("Red.Kettle.2019.KORSUB.1080p.WEB", Flag.HARDCODED),
        ("Red.Kettle.S01E01.GERMAN.DUBBED.1080p", Flag.DUBBED),
        ("Red.Kettle.2019.1080p.Dublado", Flag.DUBBED),
        ("Red.Kettle.2019.1080p.ESubs", Flag.SUBBED),
        ("Red.Kettle.2019.MULTI.SUBS.1080p", Flag.SUBBED),
        ("Red.Kettle.2019.MULTi.1080p.BluRay", Flag.MULTI_AUDIO),
        ("Red Kettle 2019 Dual Audio 720p", Flag.MULTI_AUDIO),
        ("[Oar] Red Kettle - 05 [Multi-Audio]", Flag.MULTI_AUDIO),
        ("Red.Kettle.1999.AI.Upscaled.2160p", Flag.UPSCALED),
        ("Red.Kettle.2012.3D.HSBS.1080p", Flag.THREE_D),
        ("Red.Kettle.2012.Extended.1080p", Flag.EXTENDED),
        ("Red.Kettle.2012.Directors.Cut.1080p", Flag.EXTENDED),
        ("Red.Kettle.1982.Remastered.1080p", Flag.REMASTERED),
        ("Red.Kettle.2012.UNRATED.1080p", Flag.UNRATED),
        ("Red Kettle Complete Series 1080p", Flag.COMPLETE),
        ("Red Kettle 1080p Collection", Flag.COMPLETE),
        ("Red.Kettle.S01E02.1080p.WEB.h264-KITE", Flag.SCENE),
        ("Red.Kettle.2019.XXX.1080p", Flag.ADULT),
        ("Red.Kettle.S02.Extras.1080p.BluRay", Flag.EXTRAS),
        ("Red.Kettle.2019.Featurettes.1080p", Flag.EXTRAS),
        ("Red.Kettle.2019.Trailer.1080p", Flag.EXTRAS),
        ("[Oar] Red Kettle - NCOP1 [BD 1080p].mkv", Flag.EXTRAS),
        ("[Oar] Red Kettle - NCED2 [BD 1080p].mkv", Flag.EXTRAS),
        ("Red.Kettle.2019.1080p.sample.mkv", Flag.SAMPLE),
        ("Red.Kettle.2019.1080p.WEB.exe", Flag.TRASH),
        ("Red.Kettle.2019.1080p.WEB.PASSWORD", Flag.TRASH),
        ("Red.Kettle.2019.1080p.Leaked", Flag.TRASH),
        ("Red Kettle Original Soundtrack FLAC", Flag.TRASH),
        ("Red Kettle OST", Flag.TRASH),
        ("Red Kettle epub", Flag.TRASH),
        ("Red Kettle FitGirl Repack", Flag.TRASH),
        ("Red.Kettle.Documentary.2019.1080p", Flag.DOCUMENTARY),
        ("Red.Kettle.2019.BDMV.1080p", Flag.DISC),
        ("Red.Kettle.2001.DVD5", Flag.DISC),
        ("Red.Kettle.2019.COMPLETE.BLURAY-KITE", Flag.DISC),
    ],
    ids=str,
)
def test_flag_is_set(name: str, flag: Flag) -> None:
    assert flag in flags_of(name)


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("[Sub] Red Kettle - 05 [1080p].mkv", Flag.SUBBED),
        ("Red.Kettle.2019.MULTi.1080p.BluRay", Flag.DUBBED),
        ("Red.Kettle.2019.MULTI.SUBS.1080p", Flag.MULTI_AUDIO),
        ("Dual.2022.1080p.WEB", Flag.MULTI_AUDIO),
        ("Red.Kettle.S01E01.720p.HDTV.ts", Flag.TRASH),
        ("Cam.2018.1080p.WEB-DL", Flag.TRASH),
        ("Red.Kettle.S01E01.SATRip.x264", Flag.TRASH),
        ("Red.Kettle.2019.1080p.FLAC.BluRay", Flag.TRASH),
        ("Analysis.of.Canals.2019.1080p", Flag.ADULT),
        ("XXX.2002.1080p", Flag.ADULT),
        ("Red.Kettle.S01-S03.+.Extras.1080p", Flag.EXTRAS),
        ("Red Kettle (2019) (1080p BluRay) with Bonus", Flag.EXTRAS),
        ("Red.Kettle.2019.COMPLETE.BLURAY-KITE", Flag.COMPLETE),
        ("Red.Kettle.2019.1080p.BluRay.REMUX", Flag.DISC),
        ("The.Password.2019.1080p", Flag.TRASH),
        ("The.Sample.2019.1080p", Flag.SAMPLE),
    ],
    ids=str,
)
def test_flag_is_not_set(name: str, flag: Flag) -> None:
    assert flag not in flags_of(name)


@pytest.mark.parametrize(
    ("name", "quality"),
    [
        ("Amber.Road.2019.1080p.HDCAM", QualityClass.CAM),
        ("Amber.Road.2019.DVDRip.XviD", QualityClass.SD),
        ("Amber.Road.S01E01.HDTV.x264", QualityClass.SD),
        ("Amber.Road.2019.XviD-KITE", QualityClass.SD),
        ("Amber.Road.2019.480p.WEB", QualityClass.SD),
        ("Amber.Road.2019.WEB-DL", QualityClass.UNKNOWN),
        ("Amber.Road.2019.BluRay", QualityClass.UNKNOWN),
        ("Amber.Road.2019", QualityClass.UNKNOWN),
        ("Amber.Road.2019.720p.WEB", QualityClass.P720),
        ("Amber.Road.2019.1080p.WEB", QualityClass.P1080),
        ("Amber.Road.2019.1440p.WEB", QualityClass.P1440),
        ("Amber.Road.2019.2160p.WEB", QualityClass.P2160),
        ("Amber.Road.2019.4320p.WEB", QualityClass.P2160),
        ("Amber.Road.1999.AI.Upscaled.2160p", QualityClass.P1440),
        ("Amber.Road.1999.Upscaled.720p", QualityClass.SD),
        ("Amber.Road.1999.Upscaled.480p", QualityClass.SD),
    ],
    ids=str,
)
def test_release_stands_on_the_ladder(name: str, quality: QualityClass) -> None:
    assert parse_release(name).quality is quality


def test_ladder_ascends() -> None:
    labels = [step.label for step in sorted(QualityClass)]

    assert labels == ["CAM", "SD", "Unknown", "720p", "1080p", "1440p", "2160p"]


def test_class_of_takes_plain_codes() -> None:
    assert class_of(60, 60) is QualityClass.P1080


@pytest.mark.parametrize("vocabulary", [Resolution, Source, Codec, Channels, QualityClass])
def test_every_code_has_its_own_label(
    vocabulary: type[Resolution | Source | Codec | Channels | QualityClass],
) -> None:
    labels = [code.label for code in vocabulary]

    assert all(labels)
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("vocabulary", [Hdr, Audio, Flag])
def test_every_bit_has_its_own_label(vocabulary: type[Hdr | Audio | Flag]) -> None:
    labels = [bit.label for bit in vocabulary]

    assert all(labels)
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize(
    ("code", "label"),
    [
        (Resolution.P2160, "2160p"),
        (Resolution.UNKNOWN, "Unknown"),
        (Source.WEB_DL, "WEB-DL"),
        (Codec.HEVC, "HEVC"),
        (Channels.SURROUND_5_1, "5.1"),
        (Hdr.DV | Hdr.HDR10_PLUS, "DV HDR10+"),
        (Audio.TRUEHD | Audio.ATMOS, "Atmos TrueHD"),
        (Flag(0), ""),
    ],
    ids=str,
)
def test_label_is_what_people_write(code: Any, label: str) -> None:
    assert code.label == label


def test_release_without_names_has_an_empty_one() -> None:
    assert Release(title="").title_norm == ""


def test_version_is_a_small_number_for_a_column() -> None:
    assert 0 < PARSER_VERSION < 2**15


def test_name_is_kept_when_the_general_parser_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> dict[str, Any]:
        raise RecursionError

    monkeypatch.setattr(name_module, "parse_title", fail)

    release = parse_release("Blue.Harvest.S01E05.1080p.mkv")

    assert (release.title, release.episodes) == ("Blue Harvest", (5,))


def test_extension_of_a_very_long_name_is_read() -> None:
    release = parse_release("Blue Harvest 2019 1080p " + "x" * 10_000 + ".mkv")

    assert (release.container, release.year) == ("mkv", 2019)


@pytest.mark.parametrize(
    "name",
    [
        "1." * 5000,
        "[" * 5000,
        "Season 1, " * 500,
        "S01E01" * 1000,
        ".mkv" * 50_000,
        "\x00\ud800\u202e ",
    ],
    ids=["digits", "brackets", "seasons", "episodes", "extensions", "controls"],
)
def test_hostile_name_is_read_as_something(name: str) -> None:
    assert isinstance(parse_release(name), Release)


# fmt: off
WORDS = [
    "Harbour", "2019", "S01E05", "S02", "1x05", "-", "05", "1080p", "4K", "WEB-DL", "BluRay",
    "REMUX", "CAM", "x265", "DTS-HD", "MA", "5.1", "[Oar]", "(2019)", "French", "MULTi",
    "Cap.101", "Staffel", "3", "Season", "1-5", "+", "Extras", "COMPLETE", "/", ".mkv", ".ts",
    "ſpanish", "ıtalian", "１０８０ｐ", "٣", "第05話",
]
# fmt: on
NAMES = st.one_of(
    st.text(max_size=400),
    st.text("0123456789.-_ []()SsEex+&/|p", max_size=400),
    st.lists(
        st.sampled_from(WORDS),
        max_size=30,
    ).map(" ".join),
)


@given(NAMES)
def test_any_name_is_read_within_the_vocabulary(name: str) -> None:
    release = parse_release(name)

    assert Resolution(release.resolution).label
    assert Source(release.source).label
    assert Codec(release.codec).label
    assert Channels(release.channels).label
    assert release.hdr < 2 * Hdr.DV
    assert release.audio < 2 * Audio.ATMOS
    assert release.flags < 2 * Flag.DISC
    assert set(release.languages) <= CODES
    assert list(release.seasons) == sorted(set(release.seasons))
    assert list(release.episodes) == sorted(set(release.episodes))
    assert len(release.seasons) <= 60
    assert len(release.episodes) <= 2000
    assert all(0 <= season <= 2050 for season in release.seasons)
    assert all(0 <= episode < 100_000 for episode in release.episodes)
    assert release.year is None or 1880 <= release.year <= 2100


@given(NAMES)
def test_what_is_read_can_be_stored_as_text(name: str) -> None:
    release = parse_release(name)

    for text in (release.title, release.group, release.country, *release.titles_norm):
        assert "\x00" not in text
        assert text.encode().decode() == text


@given(NAMES)
def test_reading_a_cleaned_name_gives_the_same(name: str) -> None:
    assert parse_release(clean(name)) == parse_release(name)


@given(st.text(max_size=100))
def test_text_beyond_the_cap_changes_nothing(more: str) -> None:
    start = "Blue Harvest 2019 1080p " + "x" * 300

    assert parse_release(f"{start}y{more}y") == parse_release(f"{start}yy")
