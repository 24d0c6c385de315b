package config

import (
	"bufio"
	"bytes"
	"fmt"
	"regexp"
	"strings"
)

var assignment = regexp.MustCompile(`^(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_]*)[ \t]*=(.*)$`)

// parse reads the dialect of toolkit.conf: KEY=value, one a line, the value bare, in double or in single quotes. It is read,
// never run: nothing is expanded, a "$" or a backslash is itself, because the file holds secrets and a shell would change
// them. "#" starts a comment at the start of a line, after white space behind a bare value, or behind a closing quote. Of
// duplicates the last non-empty one counts, as the toolkit's own scripts append lines. Line ends may be CRLF.
func parse(data []byte) (values map[string]string, problems []Problem) {
	values = map[string]string{}
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	scanner := bufio.NewScanner(bytes.NewReader(data))
	scanner.Buffer(nil, 1<<20)
	for n := 1; scanner.Scan(); n++ {
		line := strings.TrimSpace(scanner.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		match := assignment.FindStringSubmatch(line)
		if match == nil {
			problems = append(problems, Problem{Key: fmt.Sprintf("line %d", n), Cause: "is not KEY=value", Fix: "write KEY=value, or put # in front of it"})
			continue
		}
		value, ok := unquote(strings.TrimSpace(match[2]))
		if !ok {
			problems = append(problems, Problem{Key: match[1], Cause: fmt.Sprintf("line %d has an opening quote without its closing one", n), Fix: "close the quote, or leave both out"})
			continue
		}
		if value != "" || values[match[1]] == "" {
			values[match[1]] = value
		}
	}
	if err := scanner.Err(); err != nil {
		problems = append(problems, Problem{Key: "toolkit.conf", Cause: err.Error(), Fix: "check that it is a text file"})
	}
	return values, problems
}

var comment = regexp.MustCompile(`[ \t]+#.*$`)

func unquote(raw string) (string, bool) {
	if raw == "" || raw[0] != '"' && raw[0] != '\'' {
		if strings.HasPrefix(raw, "#") {
			return "", true
		}
		return comment.ReplaceAllString(raw, ""), true
	}
	// The closing quote is the last one that only a comment follows, so that a quote inside a secret stays in it.
	quote := raw[:1]
	for end := strings.LastIndex(raw, quote); end > 0; end = strings.LastIndex(raw[:end], quote) {
		rest := raw[end+1:]
		if strings.TrimSpace(rest) == "" || comment.FindString(rest) == rest {
			if inner := raw[1:end]; !strings.Contains(inner, quote+" #") && !strings.Contains(inner, quote+"\t#") {
				return inner, true
			}
		}
	}
	return "", false
}
