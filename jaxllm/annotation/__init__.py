"""Human evaluation: people rate answers in a local web app, without knowing whose they are."""
