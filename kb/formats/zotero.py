"""Zotero's types of items and names of fields, in BibTeX's words."""

from __future__ import annotations

TYPES = {
    "journalArticle": "article", "magazineArticle": "article", "newspaperArticle": "article", "preprint": "misc",
    "conferencePaper": "inproceedings", "bookSection": "incollection", "encyclopediaArticle": "incollection",
    "dictionaryEntry": "incollection", "book": "book", "thesis": "phdthesis", "report": "techreport",
    "standard": "techreport", "manuscript": "unpublished", "webpage": "online", "blogPost": "online",
    "forumPost": "online", "computerProgram": "software", "dataset": "dataset", "videoRecording": "video",
    "film": "video", "presentation": "video", "audioRecording": "video", "podcast": "video", "tvBroadcast": "video",
    "radioBroadcast": "video", "document": "misc",
}  # fmt: skip
KINDS = {"blogPost": "post", "forumPost": "thread"}
FIELDS = {
    "volume": "volume", "issue": "number", "number": "number", "pages": "pages", "publisher": "publisher",
    "place": "address", "edition": "edition", "series": "series", "language": "language", "shortTitle": "shorttitle",
    "numPages": "pagetotal", "ISSN": "issn", "type": "type", "rights": "copyright", "section": "section",
    "journalAbbreviation": "shortjournal", "conferenceName": "eventtitle", "meetingName": "eventtitle",
    "reportNumber": "number", "reportType": "type", "thesisType": "type", "manuscriptType": "type",
    "university": "school", "institution": "institution", "versionNumber": "version", "numberOfVolumes": "volumes",
    "patentNumber": "number", "archiveID": "number", "seriesNumber": "seriesnumber", "court": "institution",
}  # fmt: skip
VENUES = (
    "publicationTitle", "proceedingsTitle", "bookTitle", "encyclopediaTitle", "dictionaryTitle", "blogTitle",
    "websiteTitle", "forumTitle", "programTitle",
)  # fmt: skip
TITLES = ("title", "caseName", "nameOfAct", "subject", "shortTitle")
AUTHORS = (
    "author", "presenter", "podcaster", "programmer", "director", "artist", "inventor", "cartographer", "composer",
    "performer", "interviewee",
)  # fmt: skip
