"""One person's enrolment, or withdrawal, from the first touch to the last."""
