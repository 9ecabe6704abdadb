"""From a script to a version with evidence: trained, wrapped, validated, measured, compared, judged."""
