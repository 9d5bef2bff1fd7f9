"""Small files as the programs write them, for the tests of readers. All of the same two works, by our own hand."""

# ruff: noqa: E501 (lines as the programs write them)

BIBTEX = r"""% made by hand
@string{tidal = {Journal of Tides}}
@Article{byron1843notes,
  author       = {Byron, Ada and van der Maas, Jan},
  title        = {Notes on {T}idal Engines},
  journal      = tidal,
  year         = 1843,
  doi          = {10.1000/tides.1},
  keywords     = {engines, Tide Tables},
  readstatus   = {skimmed},
  ranking      = {rank4},
  priority     = {prio1},
  groups       = {Engines},
  timestamp    = {2024-03-05},
  annote       = {Read it twice.

The second part is the better one.},
  file         = {:byron.pdf:PDF},
}

@online{kelp, title = {Kelp forests}, url = {https://example.org/kelp}, date = {2021-05-06}, urldate = {2024-01-01}}

@Comment{jabref-meta: grouping:
0 AllEntriesGroup:;
1 StaticGroup:Sea\;0\;1\;0x8a8a8aff\;\;\;;
2 StaticGroup:Engines\;0\;1\;0x8a8a8aff\;\;\;;
}
"""

RIS = """TY  - JOUR
ID  - byron1843notes
AU  - Byron, Ada
AU  - van der Maas, Jan
TI  - Notes on Tidal Engines
T2  - Journal of Tides
PY  - 1843
DO  - 10.1000/tides.1
SP  - 1
EP  - 9
KW  - engines
Tide Tables
N1  - Read_Status: In Progress
N1  - <p>Read it <b>twice</b>.</p>
AB  - What moves an engine
by the sea.
L1  - https://example.org/byron.pdf
ER  - 

TY  - ELEC
TI  - Kelp forests
UR  - https://example.org/kelp
DA  - 2021/05/06/
ER  - 
"""

CSL = """[
  {
    "id": "byron1843notes",
    "type": "article-journal",
    "title": "Notes on Tidal Engines",
    "author": [{"family": "Byron", "given": "Ada"}, {"family": "Maas", "non-dropping-particle": "van der", "given": "Jan"}],
    "issued": {"date-parts": [[1843, 6]]},
    "container-title": "Journal of Tides",
    "DOI": "10.1000/tides.1",
    "page": "1-9",
    "keyword": "engines, Tide Tables",
    "note": "Read_Status: Read\\nRead it twice.",
    "custom": {"status": "read", "finished": "2024-04-01", "rating": 4}
  },
  {"id": "http://zotero.org/users/1/items/KELP", "type": "webpage", "title": "Kelp forests", "URL": "https://example.org/kelp"}
]
"""

PAPERPILE = """[{"_id": "d24a1f36", "pubtype": "PP_ARTICLE", "title": "Notes on Tidal Engines", "citekey": "Byron1843-ab",
"author": [{"first": "Ada", "last": "Byron"}, {"collective": "Society of Tides"}], "published": {"year": "1843", "month": "06"},
"journal": "Journal of Tides", "doi": "10.1000/tides.1", "labelsNamed": ["Tide Tables"], "foldersNamed": ["Sea/Engines"],
"notes": "<div>Read it twice.</div>", "created": 1709596800, "gsid": "x1"}]
"""

ZOTERO_CSV = """"Key","Item Type","Publication Year","Author","Title","Publication Title","ISBN","ISSN","DOI","Url","Abstract Note","Date","Date Added","Date Modified","Pages","Volume","Extra","Notes","File Attachments","Manual Tags","Automatic Tags"
"ABCD1234","journalArticle","1843","Byron, Ada; van der Maas, Jan","Notes on Tidal Engines","Journal of Tides","","1234-5678","10.1000/tides.1","","What moves, an engine","1843-06","2024-03-05 10:22:11","2024-03-06 10:00:00","1-9","3","arXiv:2006.11239 [cs.LG]
Read_Status: Read
Read_Status_Date: 2024-04-01T10:00:00.000Z
my own line","<p>Read it twice.</p>","/home/me/byron.pdf","engines; /unread","Tide Tables"
"KELP5678","blogPost","2021","","Kelp forests","","","","","https://example.org/kelp","","2021-05-06","2024-03-07 09:00:00","","","","","","","",""
"""

NOTION_CSV = """Name,Link,State,Labels,Score,Added,Mood
Notes on Tidal Engines,https://doi.org/10.1000/tides.1,In progress,"engines, tide tables",4,"March 5, 2024 3:04 PM",calm
Kelp forests,https://example.org/kelp,Done,,,,
"""

ZOTERO_RDF = """<rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:z="http://www.zotero.org/namespaces/export#"
 xmlns:dcterms="http://purl.org/dc/terms/"
 xmlns:bib="http://purl.org/net/biblio#"
 xmlns:foaf="http://xmlns.com/foaf/0.1/"
 xmlns:link="http://purl.org/rss/1.0/modules/link/"
 xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:prism="http://prismstandard.org/namespaces/1.2/basic/">
    <bib:Article rdf:about="#item_11">
        <z:itemType>journalArticle</z:itemType>
        <dcterms:isPartOf rdf:resource="urn:issn:1234-5678"/>
        <bib:authors>
            <rdf:Seq>
                <rdf:li><foaf:Person><foaf:surname>Byron</foaf:surname><foaf:givenName>Ada</foaf:givenName></foaf:Person></rdf:li>
            </rdf:Seq>
        </bib:authors>
        <dcterms:isReferencedBy rdf:resource="#item_12"/>
        <link:link rdf:resource="#item_13"/>
        <dc:subject>engines</dc:subject>
        <dc:subject><z:AutomaticTag><rdf:value>Tide Tables</rdf:value></z:AutomaticTag></dc:subject>
        <dc:title>Notes on Tidal Engines</dc:title>
        <dcterms:dateSubmitted>2024-03-05 10:22:11</dcterms:dateSubmitted>
        <dc:date>1843-06</dc:date>
        <bib:pages>1-9</bib:pages>
    </bib:Article>
    <bib:Journal rdf:about="urn:issn:1234-5678">
        <dc:title>Journal of Tides</dc:title>
        <prism:volume>3</prism:volume>
        <dc:identifier>DOI 10.1000/tides.1</dc:identifier>
    </bib:Journal>
    <bib:Memo rdf:about="#item_12"><rdf:value>&lt;p&gt;Read it twice.&lt;/p&gt;</rdf:value></bib:Memo>
    <z:Attachment rdf:about="#item_13"><dc:title>PDF</dc:title></z:Attachment>
    <bib:Document rdf:about="https://example.org/kelp">
        <z:itemType>webpage</z:itemType>
        <dc:identifier><dcterms:URI><rdf:value>https://example.org/kelp</rdf:value></dcterms:URI></dc:identifier>
        <dc:title>Kelp forests</dc:title>
        <dc:date>2021-05-06</dc:date>
    </bib:Document>
    <z:Collection rdf:about="#collection_1">
        <dc:title>Sea</dc:title>
        <dcterms:hasPart rdf:resource="#collection_2"/>
    </z:Collection>
    <z:Collection rdf:about="#collection_2">
        <dc:title>Engines</dc:title>
        <dcterms:hasPart rdf:resource="#item_11"/>
    </z:Collection>
</rdf:RDF>
"""

ALL = {
    "byron.bib": BIBTEX, "byron.ris": RIS, "csl.json": CSL, "paperpile.json": PAPERPILE, "zotero.csv": ZOTERO_CSV,
    "notion.csv": NOTION_CSV, "zotero.rdf": ZOTERO_RDF,
}  # fmt: skip

ORG = """#+TITLE: Sea
#+FILETAGS: :sea:

* Engines :gen:
** TODO [#A] [[https://example.org/tides][Tidal engines]] :image:
   SCHEDULED: <2024-01-05 Fri>
   :PROPERTIES:
   :AUTHOR: Ada Byron and Jan Maas
   :YEAR: 1843
   :CREATED: [2024-01-02 Tue]
   :END:
   Some *bold* words of mine.
   - a point
** DONE Kelp forests
   CLOSED: [2024-02-03 Sat 10:00]
   :PROPERTIES:
   :URL: https://example.org/kelp
   :END:
"""

LOGSEQ = """title:: My sea
tags:: sea, reading

- # Papers
\t- TODO [Tidal engines](https://example.org/tides) #[[deep water]]
\t  id:: 64b3-aaa
\t  authors:: [[Ada Byron]], [[Jan Maas]]
\t  status:: reading
\t\t- a note of mine ((64b3-aaa))
\t- DONE [Kelp forests](https://example.org/kelp)
"""
