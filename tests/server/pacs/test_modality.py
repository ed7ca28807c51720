from activelabel.server.pacs.client import Pacs
from activelabel.server.pacs.modality import pacs_modality


def test_a_pacs_is_not_asked_where_its_filter_says_it() -> None:
    modality = pacs_modality(Pacs("http://127.0.0.1:9/dicom-web"))  # an address at which no server answers
    assert modality is not None
    assert (modality.name, modality.reason) == ("CT", "the search filter of the PACS")
