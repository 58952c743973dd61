"""Many hosts: what they tell of themselves, what each may do tonight, and what stands in the way of most."""
