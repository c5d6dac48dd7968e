#!/usr/bin/env python3
"""Recall and false findings of the built binary on public data.

The data is a folder of JSON Lines files beside the repository (../shared/data,
or EXPURGATE_DATA); without it there is nothing to do. Every record's text is
one string in one NDJSON stream per file, so each file costs one process.

With --rules DIRECTORY alone in force (EXPURGATE_RULES_BUILTIN=false) rules are
measured without a build. --write puts the tables into docs/accuracy.md; --check
fails when a target is missed that this page says was reached.

usage: tests/accuracy.py [--misses] [--false] [--rules PATH] [--write] [--check]
"""

import argparse
import collections
import json
import os
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("EXPURGATE_DATA", ROOT.parent / "shared" / "data"))
PAGE = ROOT / "docs" / "accuracy.md"
BEGIN, END = "<!-- measured: make accuracy -->\n", "<!-- end -->"

CREDENTIALS = ["noseyparker", "kingfisher", "detect_secrets"]
# File, family, and the entities that count as found.
PERSONAL = [
    ("2_pii_text/presidio_recognizer_tests", "email", {"EMAIL_ADDRESS"}),
    ("2_pii_text/presidio_recognizer_tests", "credit_card", {"CREDIT_CARD"}),
    ("2_pii_text/presidio_recognizer_tests", "iban", {"IBAN_CODE"}),
    ("2_pii_text/presidio_recognizer_tests", "us_ssn", {"US_SSN"}),
    ("2_pii_text/langsmith_anonymizer", "credential", None),
    ("4_emails/linkify_in_text", "email", {"EMAIL_ADDRESS"}),
    ("3_phones/phonenumbers_examples", "phone", {"PHONE_NUMBER"}),
    ("3_phones/libphonenumber_matcher_tests", "phone", {"PHONE_NUMBER"}),
]
# Ids of persons, documents, wallets, hosts: the source's type, a name that may
# stand beside the value, and the entity as which it counts as found.
IDS = "2_pii_text/presidio_recognizer_tests"
NAMED = [
    ("US_SSN", "SSN", "US_SSN"),
    ("US_ITIN", "ITIN", "US_ITIN"), ("US_PASSPORT", "passport number", "PASSPORT_NUMBER"),
    ("US_DRIVER_LICENSE", "driver's license", "DRIVER_LICENSE"), ("US_BANK_NUMBER", "bank account", "US_BANK_NUMBER"),
    ("ABA_ROUTING_NUMBER", "routing number", "US_ROUTING_NUMBER"), ("US_NPI", "NPI", "US_NPI"),
    ("US_MBI", "Medicare", "US_MBI"), ("MEDICAL_LICENSE", "DEA", "US_DEA_NUMBER"), ("CA_SIN", "SIN", "CA_SIN"),
    ("UK_NINO", "NINO", "UK_NINO"), ("UK_NHS", "NHS", "UK_NHS"), ("UK_PASSPORT", "passport", "PASSPORT_NUMBER"),
    ("UK_DRIVING_LICENCE", "driving licence", "UK_DRIVING_LICENCE"), ("ES_NIF", "NIF", "ES_NIF"),
    ("ES_NIE", "NIE", "ES_NIF"), ("ES_PASSPORT", "pasaporte", "PASSPORT_NUMBER"),
    ("IT_FISCAL_CODE", "codice fiscale", "IT_FISCAL_CODE"), ("IT_DRIVER_LICENSE", "patente di guida", "DRIVER_LICENSE"),
    ("IT_IDENTITY_CARD", "carta d'identità", "IDENTITY_CARD"), ("IT_PASSPORT", "passaporto", "PASSPORT_NUMBER"),
    ("IT_VAT_CODE", "partita iva", "IT_VAT_CODE"), ("PL_PESEL", "PESEL", "PL_PESEL"),
    ("FI_PERSONAL_IDENTITY_CODE", "henkilötunnus", "FI_PERSONAL_IDENTITY_CODE"),
    ("SE_PERSONNUMMER", "personnummer", "SE_PERSONNUMMER"),
    ("SE_ORGANISATIONSNUMMER", "organisationsnummer", "SE_ORGANISATIONSNUMMER"),
    ("DE_TAX_ID", "Steuer-ID", "DE_TAX_ID"), ("DE_PASSPORT", "Reisepass", "PASSPORT_NUMBER"),
    ("DE_ID_CARD", "Personalausweis", "IDENTITY_CARD"), ("DE_SOCIAL_SECURITY", "RVNR", "DE_SOCIAL_SECURITY"),
    ("DE_HEALTH_INSURANCE", "KVNR", "DE_HEALTH_INSURANCE"), ("DE_LANR", "LANR", "DE_PHYSICIAN_NUMBER"),
    ("DE_BSNR", "BSNR", "DE_PHYSICIAN_NUMBER"), ("TR_NATIONAL_ID", "TCKN", "TR_NATIONAL_ID"),
    ("AU_ABN", "ABN", "AU_ABN"), ("AU_ACN", "ACN", "AU_ACN"), ("AU_TFN", "TFN", "AU_TFN"),
    ("AU_MEDICARE", "Medicare", "AU_MEDICARE"), ("IN_AADHAAR", "Aadhaar", "IN_AADHAAR"), ("IN_PAN", "PAN", "IN_PAN"),
    ("IN_GSTIN", "GSTIN", "IN_GSTIN"), ("IN_VOTER", "voter id", "IN_VOTER"),
    ("IN_PASSPORT", "passport", "PASSPORT_NUMBER"), ("SG_NRIC_FIN", "NRIC", "SG_NRIC_FIN"), ("SG_UEN", "UEN", "SG_UEN"),
    ("KR_RRN", "RRN", "KR_RRN"), ("KR_FRN", "FRN", "KR_RRN"), ("KR_BRN", "BRN", "KR_BRN"),
    ("KR_PASSPORT", "passport", "PASSPORT_NUMBER"), ("KR_DRIVER_LICENSE", "driver license", "DRIVER_LICENSE"),
    ("TH_TNIN", "TNIN", "TH_TNIN"), ("PH_TIN", "TIN", "PH_TIN"), ("NG_NIN", "NIN", "NG_NIN"),
    ("ZA_ID_NUMBER", "ID number", "ZA_ID_NUMBER"), ("CRYPTO", "wallet", "CRYPTO_WALLET"),
    ("IP_ADDRESS", "IP", "IP_ADDRESS"), ("MAC_ADDRESS", "MAC", "MAC_ADDRESS"),
]
# Sentences in which a number stands as it is dialled within its country: beside
# words that mean nothing else, and beside those that need more than bare digits;
# and names of members under which it may.
SENTENCES = [
    "phone: {}", "My phone number is {}, thanks.", "fax {} or e-mail", "WhatsApp {}", "Tel. {}, Mo-Fr",
    "Meine Handynummer: {}", "Mon téléphone est le {}.", "Su teléfono: {}", "meu celular é {}", "il mio cellulare è {}",
    "telefoon {}", "telefon: {}", "cep telefonu {}", "Телефон: {}", "Τηλέφωνο {}", "טלפון: {}", "هاتف: {}", "मोबाइल {}",
    "电话：{}", "携帯番号は {} です", "전화번호: {}", "โทร {}", "số điện thoại {}", "nomor hp {}", "tlf. {}", "puhelin {}",
]
WEAK_SENTENCES = [
    "Please call {} after five.", "Llámame al {} mañana.", "bel me op {}", "Proszę dzwonić: {}", "Мой номер {}",
    "mobile {}", "appelez le {}", "请联系 {}",
]
PHONE_NAMES = ["phone", "phone_number", "mobileNumber", "tel", "fax", "contact_number", "home_phone", "whatsapp"]
PHONES = "3_phones/phonenumbers_examples"
NATIONAL = {"NATIONAL": "in national form", "NATIONAL_DIGITS": "in national form, bare digits"}
# Look-alikes that nothing tells from the real thing without context.
AMBIGUOUS = {"int9", "int10", "int11", "unix_s", "part_no_2_3_4"}
# Spans marked as suspect may be off by this many bytes at either end.
SLACK = 2
# Least recall, for the families that have a target.
SELF_IDENTIFYING, BY_KEYWORD = 0.95, 0.80
LEAST = {"email": 0.99, "credit_card": 0.99, "iban": 0.99, "us_ssn": 0.99,
         "3_phones/phonenumbers_examples": 0.98}
NATIONAL_LEAST = 0.95
FALSE_PER_MB = 0.5
# Social security numbers as the Administration groups them; written otherwise, alone, they are
# not told from other numbers, and count only beside their name (below, among the ids).
GROUPED = {"us_ssn": re.compile(r"\d{3}([-. ])\d{2}\1\d{4}")}
LABELS = {"us_ssn": "us_ssn, grouped as 3-2-4"}
OTHERWISE = [
    (r"\d{9}", "nine digits: ids, bank and telephone numbers are written so"),
    (r"\d{5}-\d{4}", "the grouping of a ZIP+4 code"),
    (r"\d{3}-\d{6}", "no grouping of the Administration's: part and order numbers are written so"),
]
# Bytes of each kind of text that is made up here.
MADE = 1_000_000


def binary():
    given = os.environ.get("EXPURGATE_BIN")
    if given:
        return Path(given)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    built = [path for path in (target / "release/expurgate", target / "debug/expurgate") if path.exists()]
    if not built:
        sys.exit("accuracy: build the binary first: cargo build --locked")
    return max(built, key=lambda path: path.stat().st_mtime)


def read(name):
    with open(DATA / f"{name}.jsonl", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def scan(records, rules, profile="default"):
    """The findings of each record, as (start, end, entity, rule)."""
    return scan_json([{"text": record["text"]} for record in records], rules, profile)


def scan_json(documents, rules, profile="default"):
    """The findings of each document, by their places in its string."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".ndjson") as file:
        for document in documents:
            file.write(json.dumps(document) + "\n")
        file.flush()
        command = [binary(), "scan", "--profile", profile, "--format", "ndjson", "--output", "jsonl"]
        for path in rules:
            command += ["--rules", path]
        done = subprocess.run([*command, file.name], capture_output=True, text=True, encoding="utf-8")
    if done.returncode != 0:
        sys.exit(f"accuracy: scan failed: {done.stderr.strip()}")
    found = [[] for _ in documents]
    for line in done.stdout.splitlines():
        finding = json.loads(line)
        found[finding["record"] - 1].append((finding["start"], finding["end"], finding["entity"], finding["rule"]))
    return found


def covered(span, findings, text=b""):
    """Whether nothing of the span's secret stays. Of a URL, its secret part
    is enough: who, where and what is asked may stay."""
    if b"://" in text[span["start"]:span["end"]]:
        return any(start < span["end"] and stop > span["start"] for start, stop, *_ in findings)
    slack = SLACK if span.get("span_suspect") else 0
    at, end = span["start"] + slack, span["end"] - slack
    for start, stop, *_ in sorted(findings):
        if start <= at < stop:
            at = stop
    return at >= end


def vendor(kind):
    """np.acme.2 and kingfisher.acme.2 are of the family acme."""
    parts = kind.split(".")
    return parts[1] if len(parts) > 2 else kind


class Table:
    def __init__(self, *heads):
        self.rows = [heads]

    def add(self, *cells):
        self.rows.append(tuple(str(cell) for cell in cells))

    def markdown(self):
        cells = [[cell.replace("|", r"\|") for cell in map(str, row)] for row in self.rows]
        rule = ["---", *("--:" for _ in self.rows[0][1:])]
        return "".join(f"| {' | '.join(row)} |\n" for row in (cells[0], rule, *cells[1:])) + "\n"

    def show(self):
        widths = [max(len(row[column]) for row in self.rows) for column in range(len(self.rows[0]))]
        for row in self.rows:
            first, *rest = (cell.ljust(width) if column == 0 else cell.rjust(width)
                            for column, (cell, width) in enumerate(zip(row, widths)))
            print("  ".join([first, *rest]).rstrip())
        print()
        SHOWN.append(self)


# The tables for the page, in the order in which they were printed.
SHOWN = []


def share(found, all_of_them):
    return f"{found / all_of_them:.3f}" if all_of_them else "-"


def credentials(options):
    table = Table("credentials", "self-identifying", "recall", "by keyword", "recall", "negatives", "false")
    families = collections.defaultdict(lambda: [0, 0])
    sums = {True: [0, 0], False: [0, 0]}
    negatives = [0, 0]
    for name in CREDENTIALS:
        records = read(f"1_credentials/{name}")
        found = scan(records, options.rules)
        counts = {True: [0, 0], False: [0, 0]}
        clean = [0, 0]
        for record, findings in zip(records, found):
            text = record["text"].encode()
            for span in record.get("spans", []):
                itself = bool(span.get("self_identifying"))
                hit = covered(span, findings, text)
                counts[itself][0] += hit
                counts[itself][1] += 1
                families[vendor(span["type"]), itself][0] += hit
                families[vendor(span["type"]), itself][1] += 1
            if record.get("redaction_negative"):
                clean[1] += 1
                if findings:
                    clean[0] += 1
                    if options.false:
                        print(f"  false: {name} {record['id']} {sorted({rule for *_, rule in findings})}")
        table.add(name, *(cell for itself in (True, False) for cell in
                          (f"{counts[itself][0]}/{counts[itself][1]}", share(*counts[itself]))),
                  clean[1], clean[0])
        for itself in (True, False):
            sums[itself] = [a + b for a, b in zip(sums[itself], counts[itself])]
        negatives = [a + b for a, b in zip(negatives, clean)]
    table.add("all", *(cell for itself in (True, False) for cell in
                       (f"{sums[itself][0]}/{sums[itself][1]}", share(*sums[itself]))), negatives[1], negatives[0])
    table.show()
    if options.misses:
        missed = Table("family with misses", "kind", "found", "of")
        for (family, itself), (hits, of) in sorted(families.items(), key=lambda row: row[1][0] - row[1][1]):
            if hits < of:
                missed.add(family, "itself" if itself else "keyword", hits, of)
        missed.show()
        SHOWN.pop()
    return [("self-identifying credentials, recall", sums[True][0] / sums[True][1], SELF_IDENTIFYING),
            ("keyword-dependent credentials, recall", sums[False][0] / sums[False][1], BY_KEYWORD)]


def value_of(record, span):
    return record["text"].encode()[span["start"]:span["end"]].decode()


def is_grouped(family, value):
    return family not in GROUPED or GROUPED[family].fullmatch(value) is not None


def personal(options):
    table = Table("personal data", "family", "found", "recall", "false")
    others = Table("left out of these", "written", "why it stays")
    sums = collections.defaultdict(lambda: [0, 0])
    for name, family, entities in PERSONAL:
        records = [record for record in read(name)
                   if family in record.get("complete_for", []) or record.get("family") == family]
        if name.startswith("3_phones/phonenumbers"):
            records = [record for record in records if record["findable_without_region"]]
        # What may be a number or not, says the source itself.
        records = [record for record in records if not record.get("possible_only")]
        hits = of = false = 0
        for record, findings in zip(records, scan(records, options.rules)):
            findings = [finding for finding in findings if entities is None or finding[2] in entities]
            spans = [span for span in record.get("spans", []) if span["family"] == family]
            counted = [span for span in spans if is_grouped(family, value_of(record, span))]
            hits += sum(covered(span, findings) for span in counted)
            of += len(counted)
            for span in spans:
                if span not in counted:
                    value = value_of(record, span)
                    others.add(family, value, next(why for form, why in OTHERWISE if re.fullmatch(form, value)))
            false += sum(all(end <= span["start"] or start >= span["end"] for span in spans)
                         for start, end, *_ in findings)
        table.add(name, LABELS.get(family, family), f"{hits}/{of}", share(hits, of), false)
        target = name if name in LEAST else family
        sums[target] = [sums[target][0] + hits, sums[target][1] + of]
    table.show()
    others.show()
    return [(f"{LABELS.get(target, target)}, recall", sums[target][0] / sums[target][1], least)
            for target, least in LEAST.items()]


def national(options):
    """Numbers of all regions as they are dialled there, in sentences and under names."""
    table = Table("national phone numbers", "beside a word", "recall", "under a name", "recall")
    sums = [0, 0, 0]
    for form, what in NATIONAL.items():
        records = [record for record in read(PHONES) if record["format"] == form]
        counts = [0, 0]
        sentences = SENTENCES + (WEAK_SENTENCES if form == "NATIONAL" else [])
        texts = [sentences[at % len(sentences)].format(record["text"]) for at, record in enumerate(records)]
        documents = [{PHONE_NAMES[at % len(PHONE_NAMES)]: record["text"]} for at, record in enumerate(records)]
        for index, (written, in_json) in enumerate(((texts, [{"text": text} for text in texts]), (None, documents))):
            for at, (record, findings) in enumerate(zip(records, scan_json(in_json, options.rules))):
                text = written[at] if written else record["text"]
                start = len(text[:text.index(record["text"])].encode())
                span = {"start": start, "end": start + len(record["text"].encode())}
                hit = covered(span, [finding for finding in findings if finding[2] == "PHONE_NUMBER"])
                counts[index] += hit
                if options.misses and not hit:
                    print(f"  missed: {record['region']} {in_json[at]}")
        table.add(what, *(cell for count in counts for cell in (f"{count}/{len(records)}", share(count, len(records)))))
        sums = [sums[0] + counts[0], sums[1] + counts[1], sums[2] + len(records)]
    table.show()
    return [("national phone numbers beside a word, recall", sums[0] / sums[2], NATIONAL_LEAST),
            ("national phone numbers under a name, recall", sums[1] / sums[2], NATIONAL_LEAST)]


def numeric_json(rng):
    """Measurements, times and ids, all of them numbers."""
    now = 1_750_000_000
    return json.dumps({
        "id": rng.randrange(10**6), "ts": now + rng.randrange(10**7), "ms": (now + rng.randrange(10**7)) * 1000,
        "ns": (now + rng.randrange(10**7)) * 10**9 + rng.randrange(10**9), "tokens": rng.randrange(10**5),
        "scores": [round(rng.uniform(-1, 1), rng.randrange(3, 17)) for _ in range(rng.randrange(4, 40))],
        "shape": [rng.randrange(1, 5000) for _ in range(3)], "cost": round(rng.expovariate(100), 8)})


def css(rng):
    """Rules with names, colours, sizes and addresses of pictures."""
    hexes = "0123456789abcdef"
    name = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randrange(3, 12)))
    hashed = "".join(rng.choices(hexes, k=8))
    colour = "".join(rng.choices(hexes, k=6))
    return (f".{name}-{hashed}:hover > a[href^='https://{name}.example/'] {{ color: #{colour}; "
            f"margin: {rng.randrange(100)}px {rng.random():.3f}rem; transition: all {rng.randrange(900)}ms; "
            f"background: url('/static/{name}.{hashed}.svg#{name}') }}\n@media (min-width: {rng.randrange(2000)}px) "
            f"{{ #{name}{rng.randrange(10**6)} {{ transform: translate({rng.uniform(-99, 99):.2f}px) }} }}")


def made(write):
    rng = random.Random(4)
    records, size = [], 0
    while size < MADE:
        records.append({"text": write(rng)})
        size += len(records[-1]["text"].encode())
    return records


def ids(options):
    """Ids as the source has them, most of them alone, and with their name in front."""
    table = Table("ids", "values", "as written", "of those in strict", "with its name", "of those in strict", "false")
    sums = [0] * 6
    records = read(IDS)
    for kind, name, entity in NAMED:
        found = [record for record in records if any(span["type"] == kind for span in record.get("spans", []))]
        wrong = [record for record in records if record.get("type") == kind and record.get("should_match") is False]
        row = [0]
        row[0] = sum(span["type"] == kind for record in found for span in record["spans"])
        for front in ("", f"{name}: "):
            moved = len(front.encode())
            texts = [{"text": front + record["text"]} for record in found]
            for profile in ("default", "strict"):
                hits = 0
                for record, findings in zip(found, scan(texts, options.rules, profile)):
                    findings = [(start - moved, end - moved) for start, end, *_ in findings]
                    spans = [span for span in record["spans"] if span["type"] == kind]
                    missed = [span for span in spans if not covered(span, findings)]
                    hits += len(spans) - len(missed)
                    if options.misses and front and profile == "strict" and missed:
                        print(f"  missed: {kind} {front + record['text']!r}")
                row.append(hits)
        texts = [{"text": record["text"]} for record in wrong]
        false = [any(finding[2] == entity for finding in findings) for findings in scan(texts, options.rules, "strict")]
        if options.false:
            for record, is_false in zip(wrong, false):
                if is_false:
                    print(f"  false: {kind} {record['text']!r}")
        row.append(sum(false))
        table.add(f"{kind}", *row)
        sums = [a + b for a, b in zip(sums, row)]
    table.add("all", *sums)
    table.show()


def clean(options):
    table = Table("clean text", "bytes", "false", "per MB", "by rule")
    targets = []
    for name, records in (("source_rust", read("6_clean/source_rust")), ("numeric JSON, made up", made(numeric_json)),
                          ("CSS, made up", made(css))):
        found = scan(records, options.rules)
        size = sum(len(record["text"].encode()) for record in records)
        rules = collections.Counter(rule for findings in found for *_, rule in findings)
        rate = sum(rules.values()) / (size / 1e6)
        table.add(name, size, sum(rules.values()), f"{rate:.2f}", dict(rules) or "")
        targets.append((f"{name}, false findings per MB", -rate, -FALSE_PER_MB))
        if options.false:
            for record, findings in zip(records, found):
                text = record["text"].encode()
                for start, end, _, rule in findings:
                    around = text[max(0, start - 40):end + 10].decode(errors="replace")
                    print(f"  false: {record.get('source', name)} {rule}: {around!r}")
    records = [record for record in read("6_clean/lookalikes_dev") if record["type"] not in AMBIGUOUS]
    found = scan(records, options.rules)
    size = sum(len(record["text"].encode()) for record in records)
    rules = collections.Counter(rule for findings in found for *_, rule in findings)
    classes = collections.Counter(record["type"] for record, findings in zip(records, found) if findings)
    table.add("look-alikes", size, sum(rules.values()), "-", {**rules, **classes} or "")
    if options.false:
        for record, findings in zip(records, found):
            if findings:
                print(f"  false: {record['type']} {findings[0][3]}: {record['text']!r}")
    table.show()
    return [*targets, ("look-alikes, false findings", -float(sum(rules.values())), 0.0)]


def report(targets):
    """Prints what was reached; the names of what was not."""
    table = Table("target", "measured", "asked", "reached")
    missed = []
    for name, value, least in targets:
        if value < least:
            missed.append(name)
        # What must stay below is kept as its negative.
        table.add(name, f"{abs(value):.3f}", f"{'at most' if least <= 0 else 'at least'} {abs(least):g}",
                  "no" if value < least else "yes")
    table.show()
    return missed


def write():
    page = PAGE.read_text(encoding="utf-8")
    head, _, rest = page.partition(BEGIN)
    tail = rest.partition(END)[2]
    tables = "".join(table.markdown() for table in [SHOWN[-1], *SHOWN[:-1]])
    PAGE.write_text(f"{head}{BEGIN}\n{tables}{END}{tail}", encoding="utf-8")


def reached_before():
    """The targets that the page says were reached."""
    page = PAGE.read_text(encoding="utf-8")
    return re.findall(r"^\| ([^|]+) \| [^|]+ \| [^|]+ \| yes \|$", page, flags=re.MULTILINE)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--misses", action="store_true", help="list the families with misses")
    parser.add_argument("--false", action="store_true", help="show the false findings")
    parser.add_argument("--rules", action="append", default=[], help="rules on top of the built-in ones")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/accuracy.md")
    parser.add_argument("--check", action="store_true", help="exit with 1 when a target is missed that was reached")
    options = parser.parse_args()
    if not DATA.is_dir():
        print(f"accuracy: skipped, no data in {DATA} (set EXPURGATE_DATA)")
        return 0
    print(f"binary: {binary()}\n")
    before = reached_before()
    targets = credentials(options) + personal(options) + national(options)
    ids(options)
    missed = report(targets + clean(options))
    lost = [name for name in missed if name in before]
    for name in lost:
        print(f"LOST    {name}: docs/accuracy.md says that it was reached")
    if options.check and lost:
        return 1
    if options.write:
        write()
    return 0


if __name__ == "__main__":
    sys.exit(main())
