"""Who is on a series, from what a PACS lists and from the settings."""

from activelabel.data.patients.given import GivenPatients, read_patients
from activelabel.server.pacs.client import UNKNOWN
from activelabel.server.pacs.patients import patients_of

SERIES = {
    "1.1": {"PatientID": "P7_visit1", "StudyInstanceUID": "9.1"},
    "1.2": {"PatientID": "P7_visit2", "StudyInstanceUID": "9.2"},
    "1.3": {"PatientID": UNKNOWN, "StudyInstanceUID": "9.3"},
    "1.4": {"PatientID": " ", "StudyInstanceUID": "9.3"},
    "1.5": {},
}


def test_the_patient_is_the_patient_id_or_else_that_of_the_study() -> None:
    assert patients_of(SERIES, None) == {"1.1": "P7_visit1", "1.2": "P7_visit2", "1.3": "9.3", "1.4": "9.3"}


def test_a_pattern_reads_the_patient_id_and_leaves_what_it_does_not_fit() -> None:
    found = patients_of({**SERIES, "1.6": {"PatientID": "odd"}}, read_patients(r"(P\d)_"))
    assert found == {"1.1": "P7", "1.2": "P7", "1.3": "9.3", "1.4": "9.3", "1.6": "odd"}


def test_a_table_names_series_or_patient_ids() -> None:
    table = GivenPatients("t.csv", table={"1.1": "Ann", "P7_visit2": "Ann", "1.5": "Bob"})
    assert patients_of(SERIES, table) == {"1.1": "Ann", "1.2": "Ann", "1.3": "9.3", "1.4": "9.3", "1.5": "Bob"}
