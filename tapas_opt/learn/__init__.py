"""What history teaches: models of temperature, power, airflow and load, their margins, and how well they held."""
