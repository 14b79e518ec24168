"""Codings as FHIR R4 Conditions.

conditions(agent.code("Mamma-Ca links"), subject="Patient/17")      # fhir.bundle

bundle.py      Conditions and bundles in the form of the MII oncology module
sources.py     rows of a table as diagnoses of patients
commands.py    `onkokode fhir`
"""
