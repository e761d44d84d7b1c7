"""Everyday words of shops and services, grouped by meaning across languages.

A customer says "send back" where the document says "return", or asks in Croatian what an English page
answers. Each line is one meaning; a word counts in whatever inflection, so stems are compared.
"""

import re
from functools import cache, lru_cache

from metachat.domain.assistant.words import stem

_LANGUAGES = ("en", "de", "hr")
# One meaning a line, English | German | Croatian; an indented line goes on with the one before.
_MEANINGS = """
delivery deliver delivered ship shipping shipment dispatch carrier courier | lieferung liefern liefert
    versand versenden schicken schickt verschicken verschickt zustellung zustellen | dostava dostavljati
    dostavljamo dostavljate slati šaljemo šaljete šalje šaljem isporuka isporučiti poštarina
parcel package packet | paket päckchen sendung | paket pošiljka
arrive arrives come reach | ankommen kommen eintreffen ankunft | stići stigne stiže doći dolazi prispjeti
return returns returning | rückgabe zurückgeben zurücksenden zurückschicken retoure rücksendung
    retournieren | povrat vratiti vraćanje vraćam
refund refunded reimburse | erstattung erstatten rückerstattung rückzahlung | povrat vraćamo vratiti
    refundacija
exchange swap replace replacement | umtausch umtauschen tauschen ersatz ersetzen | zamjena zamijeniti
    zamjenski
warranty guarantee guaranteed | garantie gewährleistung | jamstvo garancija garancijski odgovornost
claim report complain complaint | melden reklamation reklamieren beschwerde garantiefall | prijaviti
    prijava reklamacija reklamirati prigovor
defect defective faulty fault broken damage damaged | defekt kaputt schaden beschädigt mangel fehler |
    kvar pokvaren oštećen oštećenje neispravan greška pogreška nedostatak
repair repairs repaired fix mend | reparatur reparieren reparierbar | popravak popravci popraviti servis
pay payment paying | zahlen bezahlen zahlung bezahlung zahlungsart | platiti plaćanje plaćati
cash | bar bargeld barzahlung | gotovina gotovinom
cod delivery pay | nachnahme | pouzeće pouzećem
invoice bill | rechnung | račun faktura
receipt proof purchase | beleg kassenbon kaufbeleg kassenzettel quittung | račun potvrda
price prices cost costs charge fee expensive | preis preise kosten kostet kostets gebühr zuschlag teuer |
    cijena cijene stoji košta koštati trošak naknada
free gratis complimentary | gratis kostenlos umsonst versandkostenfrei kostenfrei gratisversand |
    besplatno besplatna besplatan gratis
discount reduction rebate | rabatt ermäßigung nachlass vergünstigung | popust sniženje
code coupon promo | code gutscheincode rabattcode | kod kupon
gift present voucher card | gutschein geschenkkarte geschenkgutschein geschenk | poklon bon poklon-kartica
    vaučer
order orders ordered ordering | bestellung bestellen bestellt auftrag | narudžba naručiti naručio naručeno
cancel cancelling cancellation | stornieren storno abbestellen widerruf widerrufen | otkazati otkazivanje
    stornirati
change modify edit correct | ändern änderung umändern korrigieren | promijeniti izmijeniti izmjena promjena
minimum least | mindestens mindestbestellwert bestellwert | minimalno minimalni najmanje iznos
open opening hours close closed closing | offen geöffnet öffnungszeiten aufmachen schließen geschlossen zu
    | otvoreno otvoren radno vrijeme zatvoreno zatvoren radite
shop store branch | geschäft laden filiale | trgovina dućan poslovnica prodavaonica
pickup collect | abholen abholung selbstabholung | preuzeti preuzimanje podići
contact phone telephone call reach | kontakt telefon telefonisch anrufen erreichen telefonnummer | kontakt
    telefon nazvati telefonski zvati
e-mail email mail write | e-mail mail schreiben | e-mail mail e-pošta e-poruka pisati
address location where | adresse standort | adresa lokacija
expire expiry valid validity last lasts | gültig gültigkeit verfallen verfall ablaufen gelten | vrijedi
    vrijediti istječe istek valjan rok
rent rental hire lend borrow | leihen ausleihen verleih verleihen mieten miete | najam iznajmiti posuditi
    posudba najmiti
deposit | kaution anzahlung | polog kaucija
book booking appointment reserve reservation | termin buchen reservieren reservierung | termin rezervirati
    rezervacija
size sizes fit fitting | größe größen passen passt | veličina veličine broj paše odgovara
colour color | farbe | boja
wash washing clean cleaning | waschen wäsche reinigen reinigung putzen säubern | prati oprati pranje
    čistiti čišćenje
waterproof waterproofing reproof proofing | imprägnieren imprägnierung wasserdicht | impregnirati
    impregnacija vodonepropusno nepromočivo
dry drying | trocknen trocken | sušiti osušiti sušenje
wet damp | nass feucht | mokro mokar vlažan
leak leaking water | undicht wasser | propušta curi voda
shoe shoes boot boots footwear | schuh schuhe stiefel bergschuhe wanderschuhe | cipela cipele obuća čizme
    gojzerice
jacket jackets coat | jacke jacken mantel | jakna jakne kaput
clothes clothing garment | kleidung bekleidung | odjeća odjevni
tent tents | zelt zelte | šator šatori
backpack backpacks rucksack | rucksack rucksäcke | ruksak ruksaci naprtnjača
track tracking trace status | sendungsverfolgung verfolgen paketverfolgung status | praćenje pratiti status
lost missing | verloren verloren weg fehlt | izgubljen izgubiti izgubio nestao
customs duty import | zoll | carina
account login profile | konto kundenkonto anmelden login | račun profil prijava korisnički
password | passwort kennwort | lozinka
points loyalty member membership | punkte treueprogramm mitglied mitgliedschaft | bodovi vjernost član
    članstvo
birthday | geburtstag | rođendan
newsletter subscribe unsubscribe | newsletter abonnieren abmelden | newsletter pretplata odjaviti
data privacy delete | daten datenschutz löschen | podaci privatnost brisati izbrisati
tomorrow next | morgen nächsten nächster | sutra sutrašnji idući sljedeći
today | heute | danas
saturday weekend | samstag wochenende | subota vikend
sunday holiday | sonntag feiertag | nedjelja praznik blagdan
express fast quick urgent | express schnell eilig | brza brzo ekspres hitno
wait waiting takes take duration time times delivered | dauer dauert dauern warten zeit lieferzeit dauerte
    | traje trajanje čekati čeka trajati rok
receive get obtain | erhalten bekommen kriegen | dobiti dobijem primiti primitak
island islands | insel inseln | otok otoci otoke
germany german | deutschland deutsche | njemačka njemačku njemačkoj
austria austrian | österreich österreichs österreichische | austrija austriju austriji
croatia croatian | kroatien kroatische | hrvatska hrvatsku hrvatskoj
switzerland swiss | schweiz | švicarska švicarsku
slovenia | slowenien | slovenija
italy | italien | italija
france | frankreich | francuska
eu europe european | eu europa europäisch | eu europa europski unija
sole soles resole resoling | sohle besohlen sohlen | potplat đon poplat
days day | tage tag tagen werktage | dan dana dani
week weeks | woche wochen | tjedan tjedna tjedana
month months | monat monate | mjesec mjeseca mjeseci
year years | jahr jahre jahren | godina godine godinu
heavy weight weigh weighs kilos | schwer gewicht wiegt wiegen | težak teži težina teže
long length | lang länge länger | dug dugačak duljina dulji
set pitch assemble assembly | aufbauen aufbau aufstellen | postaviti postavljanje sastaviti
material made fabric | material stoff gemacht | materijal tkanina izrađen
spare parts | ersatzteil ersatzteile | rezervni dijelovi
sell buy sale | verkaufen kaufen verkauf kauf | prodati kupiti prodaja kupovina prodajete kupujete
used second-hand | gebraucht gebrauchte | rabljen rabljena polovno
student students pupil | student studenten schüler | student studentski učenik
company business | firma unternehmen geschäftskunden | tvrtka firma poslovni
language speak | sprache sprechen sprecht | jezik govoriti govorite
"""
# A customer names the town where the document names the country: the country's first English word, its towns.
_TOWNS = """
germany: berlin munich münchen hamburg cologne köln frankfurt stuttgart leipzig dresden nürnberg bremen
austria: vienna wien beč graz linz salzburg innsbruck klagenfurt villach bregenz wels
croatia: zagreb split rijeka osijek zadar dubrovnik pula varaždin šibenik karlovac
switzerland: zurich zürich geneva genf bern basel lausanne
slovenia: ljubljana maribor celje koper
italy: rome rom rim milan mailand milano
france: paris pariz lyon
"""

# Verbs that fall apart in a sentence, put together again: the parts alone mean something else.
_APART = (
    (
        re.compile(
            r"\b(?:send|bring|give|take|ship|mail|hand)(?:ing|s)?\b((?:\W+\w+){0,4}?)\W+back\b", re.IGNORECASE
        ),
        r"return\1",
    ),
    (
        re.compile(r"\b(?:get|have|want)(?:ting|s)?\b((?:\W+\w+){0,4}?\W+money)\W+back\b", re.IGNORECASE),
        r"refund\1",
    ),
    (
        re.compile(r"\b(schick|send|geb|bring)(?:e|st|t|en)?\b((?:\W+\w+){1,4}?)\W+zurück\b", re.IGNORECASE),
        r"zurückgeben\2",
    ),
    (re.compile(r"\bgeld((?:\W+\w+){0,2}?)\W+zurück\b", re.IGNORECASE), r"erstattung\1"),
    (re.compile(r"\bnovac((?:\W+\w+){0,2}?)\W+(?:natrag|nazad)\b", re.IGNORECASE), r"povrat novca\1"),
    (re.compile(r"\bhol(?:e|st|t|en)?\b((?:\W+\w+){1,5}?)\W+ab\b", re.IGNORECASE), r"abholen\1"),
    (re.compile(r"\bpick(?:ing|s)?\b((?:\W+\w+){0,3}?)\W+up\b", re.IGNORECASE), r"pickup\1"),
)


def joined(question: str) -> str:
    """Gives a question with its split verbs as one word each: "send it back" becomes "return it"."""
    for apart, whole in _APART:
        question = apart.sub(whole, question)
    return question


@lru_cache(maxsize=20_000)
def meanings_of(stemmed: str, language: str) -> frozenset[int]:
    """Gives the numbers of the meanings that a stem may have in its language; empty for other words."""
    return _index(language).get(stemmed, frozenset())


@cache
def _index(language: str) -> dict[str, frozenset[int]]:
    if language not in _LANGUAGES:
        return {}
    column = _LANGUAGES.index(language)
    found: dict[str, set[int]] = {}
    for number, line in enumerate(_MEANINGS.replace("\n    ", " ").strip().splitlines()):
        for word in line.split("|")[column].split():
            found.setdefault(stem(word, language), set()).add(number)
    return {stemmed: frozenset(numbers) for stemmed, numbers in found.items()}


@lru_cache(maxsize=20_000)
def country_of(stemmed: str, language: str) -> frozenset[int]:
    """Gives the meaning of the country that a town lies in; empty for other words."""
    return _towns(language).get(stemmed, frozenset())


@cache
def _towns(language: str) -> dict[str, frozenset[int]]:
    found = {}
    for line in _TOWNS.strip().splitlines():
        country, _, towns = line.partition(":")
        for town in towns.split():
            found[stem(town, language)] = meanings_of(stem(country, "en"), "en")
    return found
