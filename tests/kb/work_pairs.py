# ruff: noqa: E501  (a pair a line)
"""Pairs of works that look alike: those that are two works, those that are one, and why. Every row is a front matter."""

from __future__ import annotations

from typing import Any

from kb.duplicates import Work

Meta = dict[str, Any]


def same_work(a: Meta, b: Meta) -> bool:
    """Whether two front matters describe one work."""
    one, other = Work("", a), Work("", b)
    shared = one.tokens & other.tokens
    return one.may_be(other) if not shared else any(one.is_by_id(other, token) for token in shared)


def w(title: str, *authors: Any, **more: Any) -> Meta:
    """A work; `kind` is paper where none is given."""
    return {"title": title, "authors": list(authors), "kind": "paper"} | more


SURVEY = "A Survey of Diffusion Models"
DEEP = "Deep Learning"
EFFICIENT = "Efficient Attention for Long Documents"

TWO_WORKS: list[tuple[Meta, Meta, str]] = [
    (w(SURVEY, "Ling Yang", year=2022), w(SURVEY, "Hanqun Cao", year=2022), "same title, other authors"),
    (w(EFFICIENT, "Wei Wang", year=2021), w(EFFICIENT, "Ying Wang", year=2021), "same title, other person of that family"),
    (w(EFFICIENT, year=2021), w(EFFICIENT, "Ying Wang"), "title alone, no year"),
    (w(EFFICIENT), w(EFFICIENT), "title alone"),
    (w("Attention Is Enough", year=2021), w("Attention Is Enough", year=2021), "short title and year, no author"),
    (w("On Optimal Transport, Part I", "C. Villani", year=2003), w("On Optimal Transport, Part II", "C. Villani", year=2003), "part I and part II"),
    (w("On Optimal Transport I", "C. Villani", year=2003), w("On Optimal Transport II", "C. Villani", year=2003), "I and II"),
    (w("On Optimal Transport", "C. Villani", year=2003), w("On Optimal Transport: Part II", "C. Villani", year=2003), "a work and its part II"),
    (w("On Optimal Transport, Part One", "C. Villani", year=2003), w("On Optimal Transport, Part Two", "C. Villani", year=2003), "parts in words"),
    (w(SURVEY, "Ling Yang", year=2020), w(SURVEY, "Ling Yang", year=2023), "the survey written anew three years on"),
    (w(SURVEY, "Ling Yang", "A. Bo", year=2022, arxiv="2209.00796"), w(SURVEY, "Ling Yang", "A. Bo", year=2023, arxiv="2309.00796"), "the survey of the next year, same team"),
    (w(SURVEY, "Ling Yang", year=2022), w(SURVEY, "Ling Yang"), "a survey with no year may be any of them"),
    (w("Diffusion Models for Tabular Data", "Li Zhang", year=2023), w("Diffusion Models for Tabular Data: A Survey", "Li Zhang", year=2023), "a method and a survey"),
    (w("Efficient Training of Large Networks", "Li Zhang", year=2023), w("Entraînement efficace de grands réseaux", "Li Zhang", year=2023), "a translation"),
    (w("Efficient Training of Large Networks", "Li Zhang", year=2023, bibtex={"entry": "article", "langid": "english"}), w("Efficient Training of Large Networks", "Li Zhang", year=2023, bibtex={"entry": "article", "langid": "german"}), "a translation under the same title"),
    (w("Efficient Training of Large Networks", "Li Zhang", year=2023), w("Efficient Training of Large Networks (Spanish translation)", "Li Zhang", year=2023), "a translation that says so"),
    (w("Scaling Laws for Transfer", "D. Hernandez", year=2021), w("Erratum: Scaling Laws for Transfer", "D. Hernandez", year=2021), "an erratum"),
    (w("Scaling Laws for Transfer", "D. Hernandez", year=2021), w("Scaling Laws for Transfer: Corrigendum to the Second Section", "D. Hernandez", year=2021), "a corrigendum below the colon"),
    (w("Scaling Laws for Transfer", "D. Hernandez", year=2021), w("Reply to: Scaling Laws for Transfer", "D. Hernandez", year=2021), "a reply"),
    (w("Scaling Laws for Transfer", "D. Hernandez", year=2021), w("Comment on \"Scaling Laws for Transfer\"", "D. Hernandez", year=2021), "a comment on it"),
    (w("Scaling Laws for Transfer Learning", "D. Hernandez", year=2021), w("Scaling Laws for Transfer Learning: Supplementary Material and Proofs", "D. Hernandez", year=2021), "its supplement"),
    (w("Retracted: Scaling Laws for Transfer", "D. Hernandez", year=2021), w("Scaling Laws for Transfer", "D. Hernandez", year=2021), "the notice of its retraction"),
    (w("Attention Is All You Need", "Ashish Vaswani", year=2017), w("Attention Is Not All You Need", "Ashish Vaswani", year=2017), "its contradiction"),
    (w("Attention Is All You Need", "Ashish Vaswani", year=2017), w("Attention Is All You Need in Speech Separation", "Ashish Vaswani", year=2017), "one title begins the other"),
    (w("Attention Is All You Need", "Ashish Vaswani", year=2017), w("Is Attention All You Need?", "Ashish Vaswani", year=2017), "the same words in another order"),
    (w("Attention Is All You Need", "Ashish Vaswani", year=2017), w("Attention Is All You Want", "Ashish Vaswani", year=2017), "one word differs"),
    (w("GPT-3 Technical Report on Few-Shot Learning", "OpenAI", year=2023), w("GPT-4 Technical Report on Few-Shot Learning", "OpenAI", year=2023), "GPT-3 and GPT-4"),
    (w("Llama 2: Open Foundation Models", "Hugo Touvron", year=2023), w("Llama: Open Foundation Models", "Hugo Touvron", year=2023), "a version number"),
    (w("SQuAD: 100,000+ Questions", "P. Rajpurkar", year=2016, kind="dataset"), w("SQuAD: 100,000+ Questions", "P. Rajpurkar", year=2016), "the data and the paper on it"),
    (w("MathBench: Dataset", "P. Rajpurkar", year=2016), w("MathBench", "P. Rajpurkar", year=2016), "the data, filed as a paper"),
    (w("Sparse Experts Scale Well", "W. Fedus", year=2022, kind="talk"), w("Sparse Experts Scale Well", "W. Fedus", year=2022), "a talk on the paper"),
    (w("Sparse Experts Scale Well", "W. Fedus", year=2022, kind="post"), w("Sparse Experts Scale Well", "W. Fedus", year=2022), "a post on the paper"),
    (w("Learning Sparse Codes of Speech", "Ann Lee", year=2022, bibtex={"entry": "phdthesis", "school": "MIT"}), w("Learning Sparse Codes of Speech", "Ann Lee", year=2022, venue="Interspeech", bibtex={"entry": "inproceedings"}), "the thesis and the paper"),
    (w("Learning Sparse Codes of Speech", "Ann Lee", year=2022, venue="PhD thesis, MIT"), w("Learning Sparse Codes of Speech", "Ann Lee", year=2022, venue="ICML Workshop on Speech", bibtex={"entry": "inproceedings"}), "the workshop paper and the thesis"),
    (w("Learning Sparse Codes of Speech", "Ann Lee", year=2022, venue="ICML Workshop on Speech"), w("Learning Sparse Codes of Speech", "Ann Lee", year=2022, venue="NeurIPS"), "workshop and conference, both published"),
    (w(DEEP, "Ian Goodfellow", kind="book", year=2016), w(DEEP, "Ian Goodfellow", kind="book", year=2024), "another edition, by its year"),
    (w("Pattern Recognition and Learning", "C. Bishop", kind="book", bibtex={"entry": "book", "edition": "1"}), w("Pattern Recognition and Learning", "C. Bishop", kind="book", bibtex={"entry": "book", "edition": "2"}), "another edition, as it says"),
    (w("Convolutional Networks in Practice", "Ian Goodfellow", year=2016, bibtex={"entry": "incollection"}), w("Convolutional Networks in Practice", "Ian Goodfellow", year=2016, kind="book"), "a chapter and a book"),
    (w("Convolutional Networks in Practice", "Ian Goodfellow", year=2016, bibtex={"entry": "inbook"}), w("Convolutional Networks in Practice", "Ian Goodfellow", year=2016, bibtex={"entry": "article"}), "a chapter and an article"),
    (w("Tutorial on Probabilistic Programming", "F. Wood", year=2019), w("Tutorial on Probabilistic Programming", "F. Wood", year=2020), "the tutorial of the next year"),
    (w("Probabilistic Programming Tutorial 2019", "F. Wood"), w("Probabilistic Programming Tutorial 2020", "F. Wood"), "the year stands in the title"),
    (w("Introduction to Optimal Control", "F. Wood", kind="lecture", part_of="cs1", year=2020), w("Introduction to Optimal Control", "F. Wood", kind="lecture", part_of="cs2", year=2020), "lectures of two courses"),
    (w("Findings of the Shared Task on Machine Translation", "O. Bojar", year=2016), w("Findings of the Shared Task on Machine Translation", "O. Bojar", year=2017), "the findings of another year"),
    (w("Learning with Supervised Denoising for Robust Recognition of Speech", "Ann Lee", year=2020), w("Learning with Unsupervised Denoising for Robust Recognition of Speech", "Ann Lee", year=2020), "un-, and the rest alike to 98 of 100"),
    (w("Bounds on the Symmetric Capacity of Deep Networks with Noise", "Ann Lee", year=2020), w("Bounds on the Asymmetric Capacity of Deep Networks with Noise", "Ann Lee", year=2020), "one letter, another meaning"),
    (w("Adaption of Speech Models in Clinics and Schools", "Ann Lee", year=2020), w("Adoption of Speech Models in Clinics and Schools", "Ann Lee", year=2020), "one letter, another word"),
    (w("Image Synthesis with Diffusion in Low Resolution Domains", "Ann Lee", year=2020), w("Image Synthesis with Diffusion in High Resolution Domains", "Ann Lee", year=2020), "low and high"),
    (w("A Study of Text to Speech Models at Scale", "Ann Lee", year=2020), w("A Study of Speech to Text Models at Scale", "Ann Lee", year=2020), "words that change places"),
    (w("Learning to See in the Dark", "Ann Lee", year=2018, arxiv="1805.01934"), w("Learning to See in the Dark", "Ann Lee", year=2018, arxiv="1805.01935"), "two arXiv ids"),
    (w("Learning to See in the Dark", "Ann Lee", year=2018, doi="10.1109/a.1"), w("Learning to See in the Dark", "Ann Lee", year=2018, doi="10.1109/a.2"), "two DOIs of publishers"),
    (w("Learning to See in the Dark", "Ann Lee", year=2018, url="https://a.org/1"), w("Learning to See in the Dark", "Ann Lee", year=2018, url="https://a.org/2"), "two pages of one site"),
    (w("Sparse Experts at Scale", "W. Fedus", year=2022, arxiv="2201.00001", code="https://github.com/a/b"), w("Denser Experts at Scale", "W. Fedus", year=2022, arxiv="2202.00002", code="https://github.com/A/B"), "two papers of one repository"),
    (w("Chapter One of Many", "A. Bo", year=2020, isbn="9780262035613"), w("Chapter Two of Many", "B. Co", year=2020, isbn="9780262035613"), "two papers of one volume"),
    (w("Learning Robust Codes for Speech", "Ann Lee", year=2015, venue="ICML"), w("Learning Robust Codes for Speech", "Ann Lee", year=2017, venue="TPAMI"), "both published, years apart"),
    (w("Neural Networks", "Ann Lee", year=2015), w("Neural Networks: Tricks of the Trade", "Ann Lee", year=2015), "a short common title is no name of one work"),
    (w("BERT for Ranking", "Ann Lee", year=2020), w("BERT for Ranking", "Ann Lee", "Bo Li", year=2024, arxiv="2401.00001"), "four years apart"),
]  # fmt: skip

DDPM = "Denoising Diffusion Probabilistic Models"
HO = ("Jonathan Ho", "Ajay Jain", "Pieter Abbeel")

ONE_WORK: list[tuple[Meta, Meta, str]] = [
    (w(DDPM, *HO, year=2020, arxiv="2006.11239"), w(DDPM, *HO, year=2020, venue="NeurIPS", doi="10.5555/3495724"), "preprint and published"),
    (w(DDPM, *HO, year=2020, arxiv="2006.11239"), w("DENOISING DIFFUSION PROBABILISTIC MODELS.", "Ho, J.", year=2020), "capitals, a full stop, an initial"),
    (w(DDPM, *HO, year=2020, arxiv="2006.11239"), w("{D}enoising {D}iffusion \\textit{Probabilistic} Models", {"family": "Ho", "given": "Jonathan"}, year=2020), "LaTeX in the title"),
    (w(DDPM, *HO, year=2020, arxiv="2006.11239"), w("<i>Denoising</i> Diffusion Probabilistic&nbsp;Models", "Ho J", year=2020), "HTML; the name as medicine writes it"),
    (w(DDPM, *HO, year=2020), w("Denoising Diffusion Probabilistic Model", "J. Ho", year=2021, venue="NeurIPS"), "a plural; the year after"),
    (w("Generalisation and Colour in Vision Models", "Ann Lee", year=2020), w("Generalization and Colour in Vision Models", "A. Lee", year=2020), "British and American"),
    (w("Pre-training of Deep Bi-directional Encoders", "Ann Lee", year=2020), w("Pretraining of Deep Bidirectional Encoders", "A. Lee", year=2020), "hyphens"),
    (w("Learning from Très Peu d’Exemples", "Ann Lee", year=2020), w("Learning from Tres Peu d'Exemples", "Lee, Ann", year=2020), "accents and quotes"),
    (w("MobileLLM: Optimizing Sub-billion Parameter Language Models for On-Device Use Cases", "Zechun Liu", year=2024, arxiv="2402.14905"), w("MobileLLM", "Liu, Zechun", year=2024), "the subtitle dropped"),
    (w("Training Data-Efficient Transformers & Distillation Through Attention", "Hugo Touvron", year=2020), w("Training data-efficient transformers and distillation through attention", "H. Touvron", year=2021, venue="ICML"), "& and the year of publication"),
    (w("Kernel Methods in Machine Learning", "Bernhard Schölkopf", year=2008), w("Kernel Methods in Machine Learning", "B. Schoelkopf", year=2008), "an umlaut written out"),
    (w("A Neural Model of Everything", "Łukasz Kaiser", year=2017), w("A Neural Model of Everything", "Lukasz Kaiser", year=2017), "a letter that Unicode does not take apart"),
    (w("Visualizing Data in Two Dimensions", {"family": "van der Maaten", "given": "Laurens"}, year=2008), w("Visualizing Data in 2 Dimensions", "L. van der Maaten", year=2008), "particles of a name; a number in words"),
    (w("Distilling Steps into Smaller Models", "Wang Wei", year=2023), w("Distilling Steps into Smaller Models", "Wei Wang", year=2023), "family name first"),
    (w("Deep Residual Recognition of Images", "Kaiming He", year=2015, arxiv="1512.03385"), w("Deep Residual Recognition of Images", "K. He", year=2016, doi="10.1109/cvpr.2016.90", venue="CVPR"), "the year off by one"),
    (w("A Long Road to Publication at Last", "Ann Lee", "Bo Li", year=2018, arxiv="1805.01934"), w("A Long Road to Publication at Last", "A. Lee", "B. Li", year=2020, venue="JMLR"), "two years off, all authors alike"),
    (w("Recogniton of Speech in Noisy Rooms", "Ann Lee", year=2020), w("Recognition of Speech in Noisy Rooms", "A. Lee", year=2020), "a letter missing"),
    (w("Regression Trees Revisted in Practice", "Ann Lee Jr", year=2020), w("Regression Trees Revisited in Practice", "Ann Lee", year=2020), "a letter missing; a suffix"),
    (w("Learning to See in the Dark", year=2018), w("Learning to See in the Dark", "C. Chen", year=2018), "no author on one side, the same title and year"),
    (w("Cells at Work in the Brain", "Ann Lee", year=2020, doi="10.1101/2020.01.02.123456"), w("Cells at Work in the Brain", "Ann Lee", year=2021, venue="Nature", doi="10.1038/s41586-021-1"), "bioRxiv's DOI and the journal's"),
    (w("[1805.01934] Learning to See in the Dark", "C. Chen", year=2018), w("Learning to See in the Dark", "Chen Chen", year=2018), "an arXiv page's title"),
    (w("GPT4 in the Wild and at Home", "Ann Lee", year=2023), w("GPT-4 in the Wild and at Home", "Ann Lee", year=2023), "GPT4 and GPT-4"),
    (w("Anything", arxiv="2006.11239"), w("Something else", url="https://huggingface.co/papers/2006.11239"), "a Hugging Face page"),
    (w("Anything", arxiv="2006.11239"), w("Something else", pdf="https://arxiv.org/pdf/2006.11239v2.pdf"), "arXiv's PDF"),
    (w("Anything", arxiv="2006.11239"), w("Something else", doi="10.48550/arXiv.2006.11239"), "arXiv's DOI"),
    (w("Anything", arxiv="2006.11239"), w("Something else", "Jonathan Ho", url="http://www.arxiv.org/abs/2006.11239v3"), "the same id, no author on one side"),
    (w("Anything", doi="10.18653/v1/N19-1423"), w("Something else", url="https://doi.org/10.18653/V1/n19-1423"), "a DOI in two spellings"),
    (w("BERT: Pre-training of Deep Bidirectional Transformers", "Jacob Devlin", year=2018, arxiv="1810.04805"), w("{BERT}: Pre-training of Deep Bidirectional Transformers", {"family": "Devlin", "given": "Jacob"}, year=2019, acl="N19-1423", venue="NAACL"), "an ACL page and arXiv"),
    (w("An Image Is Worth 16x16 Words", "Alexey Dosovitskiy", year=2020, arxiv="2010.11929"), w("An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale", "Alexey Dosovitskiy", year=2021, openreview="YicbFdNTTy"), "OpenReview and arXiv, the subtitle dropped"),
    (w("Anything", doi="10.1038/x", arxiv="2006.11239", also=["https://doi.org/10.1101/123456"]), w("Something else", doi="10.1101/123456"), "an id that a merge kept"),
]  # fmt: skip
