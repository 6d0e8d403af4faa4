"""Write `recipients.csv` beside this file: 1,200 people in sixteen time zones, with what both campaign types need.

Nobody in it exists. Addresses are in the domains of RFC 2606; telephone numbers come from ranges that the
authorities of the USA, the United Kingdom, France, Germany and Sweden keep free for fiction. Where a country has
no such range, its people carry an American number. The seed is fixed, so every run writes the same bytes.
"""

from __future__ import annotations

import csv
import random
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

COUNT = 1_200
SEED = 20_260_302
COLUMNS = (
    "key", "email", "phone", "timezone", "locale", "first_name", "company_name", "ticket_id", "ticket_subject",
)  # fmt: skip

AMERICA = "+1{area}5550{line:03}"
BRITAIN = "+447700900{line:03}"
FRANCE = "+33639980{line:03}"
GERMANY = "+493023125{line:03}"
SWEDEN = "+46701740{line:03}"

# zone, locale, telephone range, first names (with a Latin spelling for the address where the script is another)
PLACES = (
    ("America/New_York", "en_US", AMERICA, "Grace James Aaliyah Marcus Eleanor Tyrone Hannah Wyatt"),
    ("America/Los_Angeles", "en_US", AMERICA, "Olivia Diego Priya Jordan Chloe Hiroshi Maya Ethan"),
    ("America/Toronto", "fr_CA", AMERICA, "Élodie/elodie Noah Maëlle/maelle Félix/felix Zoé/zoe Liam"),
    ("America/Sao_Paulo", "pt_BR", AMERICA, "João/joao Beatriz Antônio/antonio Luíza/luiza Caio Débora/debora"),
    ("America/Mexico_City", "es_MX", AMERICA, "Sofía/sofia Andrés/andres Ximena Iñaki/inaki Lucía/lucia Mateo"),
    ("Europe/London", "en_GB", BRITAIN, "Ann Oliver Siân/sian Harriet Callum Zara Seán/sean Beatrice"),
    ("Europe/Paris", "fr_FR", FRANCE, "Chloé/chloe François/francois Inès/ines Hugo Noémie/noemie Loïc/loic"),
    ("Europe/Berlin", "de_DE", GERMANY, "Jürgen/juergen Käthe/kaethe Lukas Zoë/zoe Sören/soeren Anna Björn/bjoern"),
    ("Europe/Stockholm", "sv_SE", SWEDEN, "Åsa/asa Björn/bjorn Märta/marta Göran/goran Linnéa/linnea Nils"),
    ("Europe/Athens", "el_GR", AMERICA, "Ελένη/eleni Γιώργος/giorgos Σοφία/sofia Νίκος/nikos Δήμητρα/dimitra"),
    ("Europe/Kyiv", "uk_UA", AMERICA, "Олена/olena Тарас/taras Ірина/iryna Андрій/andrii Зоряна/zoriana"),
    ("Africa/Cairo", "ar_EG", AMERICA, "مريم/mariam أحمد/ahmed ليلى/layla يوسف/youssef نور/nour"),
    ("Asia/Kolkata", "hi_IN", AMERICA, "अनन्या/ananya रोहन/rohan प्रिया/priya अर्जुन/arjun Meera Kabir दिव्या/divya"),
    ("Asia/Tokyo", "ja_JP", AMERICA, "さくら/sakura 健太/kenta 美咲/misaki 翔太/shota ゆい/yui"),
    ("Asia/Seoul", "ko_KR", AMERICA, "지민/jimin 서연/seoyeon 도윤/doyun 하은/haeun 민준/minjun"),
    ("Pacific/Auckland", "en_NZ", AMERICA, "Aroha Tāne/tane Isla Wiremu Māia/maia Jack Ngaio"),
)
AREAS = (202, 206, 212, 303, 312, 404, 415, 503, 512, 602, 617, 702, 713, 808, 816, 917)
LINES_OF_A_RANGE = {AMERICA: range(100, 200), BRITAIN: range(1_000), FRANCE: range(1_000), GERMANY: range(1_000)}
SWEDISH_LINES = range(605, 700)

COMPANY_NAMES = (
    "Alder", "Baltic", "Copperfield", "Delta Nine", "Evergreen", "Fjordlight", "Granite", "Harbour", "Indigo",
    "Juniper", "Kestrel", "Lantern", "Meridian", "Northwind", "Orchard", "Pinecrest", "Quayside", "Riverbend",
    "Saffron", "Thistle", "Umbra", "Valley & Vine", "Willow", "Yarrow", "Zephyr",
)  # fmt: skip
COMPANY_TRADES = (
    "Analytics", "Architects", "Bakeries", "Clinics", "Energy", "Foods, Inc.", "Freight", "Instruments", "Legal",
    "Logistics", "Media", "Outfitters", "Packaging", "Robotics", 'Studio "One"', "Textiles", "Tools", "Travel",
)  # fmt: skip
SUBJECTS = (
    "Invoice shows the wrong VAT number", "Cannot log in after the password reset", "Export stops at 10,000 rows",
    "Two charges in March", "Report e-mails arrive twice", "App closes on the settings page",
    "New colleague gets no invitation", "Delivery address cannot be changed", "Dashboard is empty since Monday",
    "Currency shown as $ instead of €", "Search finds nothing with an accent (é, ü, ø)", "Refund for order 20-1187",
)  # fmt: skip


def recipients() -> Iterator[dict[str, str]]:
    """The people, one row each, in the order of their keys; no two share a key, an address or a number."""
    chance = random.Random(SEED)
    numbers = {telephone: _numbers(telephone) for _, _, telephone, _ in PLACES}
    for index in range(1, COUNT + 1):
        zone, locale, telephone, names = chance.choice(PLACES)
        name, _, latin = chance.choice(names.split()).partition("/")
        yield {
            "key": f"r-{index:04}",
            "email": f"{latin or name.lower()}.{index}@example.{chance.choice(('com', 'org'))}",
            "phone": next(numbers[telephone]),
            "timezone": zone,
            "locale": locale,
            "first_name": name,
            "company_name": f"{chance.choice(COMPANY_NAMES)} {chance.choice(COMPANY_TRADES)}",
            "ticket_id": f"T-{40_000 + 7 * index}",
            "ticket_subject": chance.choice(SUBJECTS),
        }


def _numbers(telephone: str) -> Iterator[str]:
    """Every number of a range once, spread over area codes where it has them."""
    for line in LINES_OF_A_RANGE.get(telephone, SWEDISH_LINES):
        for area in AREAS if telephone == AMERICA else AREAS[:1]:
            yield telephone.format(area=area, line=line)


def as_csv() -> str:
    """The whole file, in UTF-8's characters, lines ending in a newline alone."""
    out = StringIO()
    writer = csv.DictWriter(out, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(recipients())
    return out.getvalue()


if __name__ == "__main__":
    Path(__file__).with_name("recipients.csv").write_text(as_csv(), encoding="utf-8", newline="")
