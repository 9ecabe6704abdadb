# Prints the Makefile's groups (##@) and the help of its targets (##).
BEGIN { FS = ":.*## " }
/^##@/ { printf "\n%s\n", substr($0, 5) }
/^[a-z0-9_]+:.*## / { printf "  %-26s %s\n", $1, $2 }
