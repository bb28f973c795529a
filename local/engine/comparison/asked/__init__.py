"""What both servers are asked, by subject. The names of the exchanges are those of the report."""
