"""Single cells: the response to a treatment, predicted from control cells."""
