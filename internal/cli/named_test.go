package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// TestNamedCommands holds every command that the documentation, an alarm or an error
// names against the commands that there are: each word is one of them, and each flag is
// one of its own or of every command.
func TestNamedCommands(t *testing.T) {
	parser, err := newParser(new(commands), &console{})
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for path, find := range map[string]func(text string) []string{
		"../../README.md": inPage, "../../docs/*.md": inPage, "../../docs/*/*.md": inPage,
		"../../internal/*/*.go": inSource, "../../internal/*/*/*.go": inSource,
	} {
		files, err := filepath.Glob(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, line := range find(string(text)) {
				named++
				if wrong := unnamed(parser.Model.Node, line); wrong != "" {
					t.Errorf("%s: pando %s: %s", file, line, wrong)
				}
			}
		}
	}
	if named < 300 {
		t.Errorf("only %d commands were found: are the pages elsewhere?", named)
	}
}

var (
	span  = regexp.MustCompile("`pando ([a-z-][^`\n]*)`")
	block = regexp.MustCompile(`(?m)^(?:    )?pando ((?:[a-z]|--)[^\n|>#]*)`)
	told  = regexp.MustCompile(`'pando ([a-z-][^'\n]*)'`)
)

// inPage returns the commands of a page: those between backquotes, and the lines of blocks.
func inPage(text string) (all []string) {
	all = firsts(span, text)
	for i, part := range strings.Split(text, "```") {
		if i%2 == 1 || strings.Contains(part, "\n    pando ") {
			all = append(all, firsts(block, part)...)
		}
	}
	return all
}

// inSource returns those that a program says, between single quotes.
func inSource(text string) []string { return firsts(told, text) }

func firsts(find *regexp.Regexp, text string) (all []string) {
	for _, m := range find.FindAllStringSubmatch(text, -1) {
		all = append(all, m[1])
	}
	return all
}

// unnamed says what of a command line there is not, "" where there is all.
func unnamed(node *kong.Node, line string) string {
	global := node.Flags
	valued := false
	for _, word := range strings.Fields(line) {
		name, isFlag := strings.CutPrefix(strings.Trim(word, "[]"), "--")
		switch {
		case isFlag:
			name, _, with := strings.Cut(name, "=")
			f := flagOf(name, node.Flags, global)
			if f == nil {
				return "there is no flag --" + name + " of pando " + node.Path()
			}
			valued = !with && !f.IsBool()
		case valued:
			valued = false
		case len(node.Children) > 0:
			child := childOf(node, word)
			if child == nil {
				return "there is no command " + word + " of pando " + node.Path()
			}
			node = child
		}
	}
	return ""
}

func childOf(node *kong.Node, name string) *kong.Node {
	for _, c := range node.Children {
		if c.Name == name {
			return c
		}
	}
	return nil
}

func flagOf(name string, all ...[]*kong.Flag) *kong.Flag {
	for _, f := range slices.Concat(all...) {
		if f.Name == name || f.Tag.Negatable != "" && "no-"+f.Name == name {
			return f
		}
	}
	return nil
}
