"""Who is who: the people of config/people.yaml, their roles and their other names."""

from include.people.people import People, Person, load_people

__all__ = ["People", "Person", "load_people"]
