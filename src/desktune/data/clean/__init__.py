"""Cleaning of rows between reading and rendering: ``score()``, then ``accept()``, each filter a few lines.

``texts`` what a filter sees · ``mend`` changes of text · ``lengths``, ``noise``, ``match``, ``language``, ``lexicon``,
``embed`` scores · ``duplicates`` · ``learn`` limits out of the corpus · ``filters`` the table of all · ``apply`` the
stage · ``files`` the verb ``data clean``.
"""
