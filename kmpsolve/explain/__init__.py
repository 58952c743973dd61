"""Why a plan is as it is: the story of each KMP, and the graph of causes; still values, no text layout."""
