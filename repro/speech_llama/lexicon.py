"""A small grammar for each of eight languages: who, does, what, where, when, and what joins two such sentences.

Phrases carry their articles and cases, so that every sentence is grammatical in order. Which phrase follows which is a
bigram model with fixed, uneven odds: there is something for a language model to learn.
"""

from __future__ import annotations

from functools import cache

import numpy as np

_PARTS = ("who", "does", "what", "where", "when", "joins")
# from a part of a sentence to the next ones, with their odds
_NEXT = {
    "": {"who": 1.0},
    "who": {"does": 1.0},
    "does": {"what": 1.0},
    "what": {"where": 0.4, "when": 0.2, "joins": 0.15, "end": 0.25},
    "where": {"when": 0.35, "joins": 0.15, "end": 0.5},
    "when": {"joins": 0.2, "end": 0.8},
    "joins": {"who": 1.0},
}
_LONGEST = 18  # words; a sentence that grows past it is drawn again
_UNEVEN = 1.5  # standard deviation of a phrase's log-odds after another

_PHRASES = {
    "en": (
        "my sister|the old farmer|our neighbour|the young doctor|a tall stranger|the baker|his uncle|the children|"
        "every student|the quiet girl|her brother|the captain|a clever fox|the gardener|the new teacher|nobody",
        "found|carried|painted|wanted|forgot|repaired|sold|watched|borrowed|hid|opened|cleaned|bought|lost|described|drew",
        "a yellow bicycle|the broken clock|seven apples|an empty bottle|the heavy box|a letter|the wooden chair|"
        "two silver keys|a loaf of bread|the last ticket|a warm blanket|some fresh milk|the map|a green umbrella|"
        "three lamps|the red door|a bag of stones|the small boat|an old violin|the window",
        "in the kitchen|behind the school|near the river|under the bridge|at the station|on the roof|in the garden|"
        "beside the church|across the street|in the cellar|by the lake|at the market",
        "in the morning|on friday|last winter|before dinner|every summer|after the storm|at midnight|yesterday|"
        "during the holiday|a week ago",
        "and|but|while|because",
    ),
    "de": (
        "meine Schwester|der alte Bauer|unser Nachbar|die junge Ärztin|ein Fremder|der Bäcker|sein Onkel|das Kind|"
        "jeder Schüler|das stille Mädchen|ihr Bruder|der Kapitän|ein Fuchs|die Gärtnerin|der neue Lehrer|niemand",
        "findet|trägt|malt|sucht|vergisst|repariert|verkauft|sieht|leiht|versteckt|öffnet|putzt|kauft|verliert|"
        "beschreibt|zeichnet",
        "ein gelbes Fahrrad|die kaputte Uhr|sieben Äpfel|eine leere Flasche|die schwere Kiste|einen Brief|den Stuhl|"
        "zwei Schlüssel|ein frisches Brot|die letzte Karte|eine warme Decke|etwas Milch|den Stadtplan|"
        "einen grünen Schirm|drei Lampen|die rote Tür|einen Sack Steine|das kleine Boot|eine alte Geige|das Fenster",
        "in der Küche|hinter der Schule|am Fluss|unter der Brücke|am Bahnhof|auf dem Dach|im Garten|neben der Kirche|"
        "auf der Straße|im Keller|am See|auf dem Markt",
        "am Morgen|am Freitag|im Winter|vor dem Essen|jeden Sommer|nach dem Sturm|um Mitternacht|am Abend|"
        "in den Ferien|jede Woche",
        "und|aber|denn|oder",
    ),
    "nl": (
        "mijn zus|de oude boer|onze buurman|de jonge dokter|een vreemdeling|de bakker|zijn oom|het kind|"
        "elke leerling|het stille meisje|haar broer|de kapitein|een vos|de tuinman|de nieuwe leraar|niemand",
        "vindt|draagt|schildert|zoekt|vergeet|repareert|verkoopt|ziet|leent|verstopt|opent|poetst|koopt|verliest|"
        "beschrijft|tekent",
        "een gele fiets|de kapotte klok|zeven appels|een lege fles|de zware doos|een brief|de houten stoel|"
        "twee sleutels|een vers brood|het laatste kaartje|een warme deken|wat melk|de kaart|een groene paraplu|"
        "drie lampen|de rode deur|een zak stenen|de kleine boot|een oude viool|het raam",
        "in de keuken|achter de school|bij de rivier|onder de brug|op het station|op het dak|in de tuin|"
        "naast de kerk|aan de overkant|in de kelder|aan het meer|op de markt",
        "in de ochtend|op vrijdag|in de winter|voor het eten|elke zomer|na de storm|om middernacht|vanavond|"
        "tijdens de vakantie|elke week",
        "en|maar|want|of",
    ),
    "fr": (
        "ma sœur|le vieux fermier|notre voisin|la jeune médecin|un étranger|le boulanger|son oncle|l'enfant|"
        "chaque élève|la fille tranquille|son frère|le capitaine|un renard|la jardinière|le nouveau professeur|"
        "ma grand-mère",
        "trouve|porte|peint|cherche|oublie|répare|vend|regarde|emprunte|cache|ouvre|nettoie|achète|perd|décrit|dessine",
        "un vélo jaune|l'horloge cassée|sept pommes|une bouteille vide|la lourde caisse|une lettre|la chaise|"
        "deux clés|un pain frais|le dernier billet|une couverture chaude|un peu de lait|la carte|un parapluie vert|"
        "trois lampes|la porte rouge|un sac de pierres|le petit bateau|un vieux violon|la fenêtre",
        "dans la cuisine|derrière l'école|près de la rivière|sous le pont|à la gare|sur le toit|dans le jardin|"
        "à côté de l'église|dans la rue|à la cave|au bord du lac|au marché",
        "le matin|le vendredi|en hiver|avant le dîner|chaque été|après l'orage|à minuit|ce soir|"
        "pendant les vacances|chaque semaine",
        "et|mais|car|ou",
    ),
    "es": (
        "mi hermana|el viejo granjero|nuestro vecino|la joven doctora|un extraño|el panadero|su tío|el niño|"
        "cada alumno|la chica tranquila|su hermano|el capitán|un zorro|la jardinera|el nuevo maestro|mi abuela",
        "encuentra|lleva|pinta|busca|olvida|repara|vende|mira|pide|esconde|abre|limpia|compra|pierde|describe|dibuja",
        "una bicicleta amarilla|el reloj roto|siete manzanas|una botella vacía|la caja pesada|una carta|la silla|"
        "dos llaves|un pan fresco|el último billete|una manta caliente|un poco de leche|el mapa|un paraguas verde|"
        "tres lámparas|la puerta roja|un saco de piedras|el barco pequeño|un violín antiguo|la ventana",
        "en la cocina|detrás de la escuela|cerca del río|bajo el puente|en la estación|sobre el tejado|en el jardín|"
        "junto a la iglesia|en la calle|en el sótano|al lado del lago|en el mercado",
        "por la mañana|el viernes|en invierno|antes de la cena|cada verano|después de la tormenta|a medianoche|"
        "esta noche|durante las vacaciones|cada semana",
        "y|pero|porque|mientras",
    ),
    "it": (
        "mia sorella|il vecchio contadino|il nostro vicino|la giovane dottoressa|uno straniero|il fornaio|suo zio|"
        "il bambino|ogni studente|la ragazza tranquilla|suo fratello|il capitano|una volpe|la giardiniera|"
        "il nuovo maestro|mia nonna",
        "trova|porta|dipinge|cerca|dimentica|ripara|vende|guarda|chiede|nasconde|apre|pulisce|compra|perde|"
        "descrive|disegna",
        "una bicicletta gialla|l'orologio rotto|sette mele|una bottiglia vuota|la scatola pesante|una lettera|"
        "la sedia|due chiavi|un pane fresco|l'ultimo biglietto|una coperta calda|un po' di latte|la mappa|"
        "un ombrello verde|tre lampade|la porta rossa|un sacco di pietre|la piccola barca|un vecchio violino|"
        "la finestra",
        "in cucina|dietro la scuola|vicino al fiume|sotto il ponte|alla stazione|sul tetto|in giardino|"
        "accanto alla chiesa|per strada|in cantina|in riva al lago|al mercato",
        "la mattina|il venerdì|in inverno|prima di cena|ogni estate|dopo la tempesta|a mezzanotte|stasera|"
        "durante le vacanze|ogni settimana",
        "e|ma|perché|mentre",
    ),
    "pt": (
        "minha irmã|o velho fazendeiro|nosso vizinho|a jovem médica|um estranho|o padeiro|seu tio|a criança|"
        "cada aluno|a menina calada|seu irmão|o capitão|uma raposa|a jardineira|o novo professor|minha avó",
        "encontra|leva|pinta|procura|esquece|conserta|vende|observa|pede|esconde|abre|limpa|compra|perde|"
        "descreve|desenha",
        "uma bicicleta amarela|o relógio quebrado|sete maçãs|uma garrafa vazia|a caixa pesada|uma carta|a cadeira|"
        "duas chaves|um pão fresco|o último bilhete|um cobertor quente|um pouco de leite|o mapa|"
        "um guarda-chuva verde|três lâmpadas|a porta vermelha|um saco de pedras|o barco pequeno|um violino antigo|"
        "a janela",
        "na cozinha|atrás da escola|perto do rio|debaixo da ponte|na estação|no telhado|no jardim|"
        "ao lado da igreja|na rua|no porão|à beira do lago|no mercado",
        "de manhã|na sexta-feira|no inverno|antes do jantar|todo verão|depois da tempestade|à meia-noite|"
        "hoje à noite|durante as férias|toda semana",
        "e|mas|porque|enquanto",
    ),
    "pl": (
        "moja siostra|stary rolnik|nasz sąsiad|młoda lekarka|obcy człowiek|piekarz|jego wujek|dziecko|"
        "każdy uczeń|cicha dziewczyna|jej brat|kapitan|mądry lis|ogrodniczka|nowy nauczyciel|moja babcia",
        "znajduje|niesie|maluje|widzi|chowa|naprawia|sprzedaje|ogląda|pożycza|zostawia|otwiera|czyści|kupuje|"
        "gubi|opisuje|rysuje",
        "żółty rower|zepsuty zegar|siedem jabłek|pustą butelkę|ciężką skrzynię|długi list|drewniane krzesło|"
        "dwa klucze|świeży chleb|ostatni bilet|ciepły koc|trochę mleka|mapę miasta|zielony parasol|trzy lampy|"
        "czerwone drzwi|worek kamieni|małą łódkę|stare skrzypce|nowe okno",
        "w kuchni|za szkołą|nad rzeką|pod mostem|na dworcu|na dachu|w ogrodzie|obok kościoła|na ulicy|w piwnicy|"
        "nad jeziorem|na targu",
        "rano|w piątek|w zimie|przed obiadem|każdego lata|po burzy|o północy|wieczorem|podczas wakacji|co tydzień",
        "i|ale|bo|gdy",
    ),
}
CODES = tuple(_PHRASES)


@cache
def phrases(language: str) -> dict[str, list[str]]:
    """The phrases of each part of a sentence."""
    return {part: text.split("|") for part, text in zip(_PARTS, _PHRASES[language], strict=True)}


@cache
def _odds(language: str, before: str, part: str) -> np.ndarray:
    """How likely each phrase of `part` is after the phrase `before`: the same in every run."""
    rng = np.random.default_rng([*language.encode(), *before.encode(), *part.encode()])
    weights = np.exp(_UNEVEN * rng.standard_normal(len(phrases(language)[part])))
    found: np.ndarray = weights / weights.sum()
    return found


def sentence(language: str, rng: np.random.Generator) -> str:
    """A sentence of 3 to 18 words, as it is written but for punctuation."""
    while True:
        said, part, before = [], "", ""
        while part != "end":
            nexts = _NEXT[part]
            part = list(nexts)[rng.choice(len(nexts), p=list(nexts.values()))]
            if part != "end":
                choices = phrases(language)[part]
                before = choices[rng.choice(len(choices), p=_odds(language, before, part))]
                said.append(before)
        text = " ".join(said)
        if len(text.split()) <= _LONGEST:
            return text
