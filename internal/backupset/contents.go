package backupset

import "fmt"

// Contents is what a dump holds, so that a restored copy can be proven equal to it: the dump of the copy must hold the same.
type Contents struct {
	Schema string  `json:"schema"` // SHA-256 of the text outside the rows, without the lines that differ from dump to dump; lower-case hex
	Tables []Table `json:"tables"` // in the order of the dump
}

// Table is the contents of one table.
type Table struct {
	Name string `json:"name"` // schema.table, quoted as SQL wants it
	Rows int64  `json:"rows"`
	Sum  string `json:"sum"` // sum of the rows' XXH3-128 hashes modulo 2^128, in any order; lower-case hex
}

// Differences names what differs between the contents of a dump and those of a copy, a line each, empty when they are equal.
func Differences(want, got Contents) []string {
	var lines []string
	have := map[string]Table{}
	for _, t := range got.Tables {
		have[t.Name] = t
	}
	for _, t := range want.Tables {
		copied, there := have[t.Name]
		delete(have, t.Name)
		switch {
		case !there:
			lines = append(lines, fmt.Sprintf("table %s is missing", t.Name))
		case copied.Rows != t.Rows:
			lines = append(lines, fmt.Sprintf("table %s has %d rows, not %d", t.Name, copied.Rows, t.Rows))
		case copied.Sum != t.Sum:
			lines = append(lines, fmt.Sprintf("table %s has other rows", t.Name))
		}
	}
	for _, t := range got.Tables {
		if _, extra := have[t.Name]; extra {
			lines = append(lines, fmt.Sprintf("table %s was not in the dump", t.Name))
		}
	}
	if len(lines) == 0 && want.Schema != got.Schema {
		lines = append(lines, "the definitions of tables, indexes, constraints or sequences differ")
	}
	return lines
}
