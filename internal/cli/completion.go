package cli

import (
	"fmt"
	"io"
	"strings"
	"text/template"

	"github.com/alecthomas/kong"
)

// completionCommand is "pando completion".
type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (completionCommand) Help() string {
	return `Prints a script that makes the shell complete pando's commands and flags.

Examples:

    source <(pando completion bash)
    pando completion zsh > "${fpath[1]}/_pando"
    pando completion fish > ~/.config/fish/completions/pando.fish`
}

// Run prints the script.
func (s *completionCommand) Run(c *console, model *kong.Application) error {
	return writeCompletion(c.out, s.Shell, model)
}

// A completion is what can follow one command.
type completion struct {
	Path     string // as "batch submit"; "" for pando itself
	Commands []completionWord
	Flags    []completionWord
}

// A completionWord is one word that can follow, or one flag.
type completionWord struct {
	Name     string
	Help     string   // one line
	TakesArg bool     // a flag with a value
	Values   []string // that the value is one of; empty for any
}

// writeCompletion writes the completion script of a shell for a command line.
func writeCompletion(w io.Writer, shell string, model *kong.Application) error {
	t, err := template.New(shell).Funcs(template.FuncMap{
		"quote":   func(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" },
		"fish":    func(s string) string { return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'" },
		"colons":  func(s string) string { return strings.ReplaceAll(s, ":", `\:`) },
		"join":    strings.Join,
		"command": func(c completion) bool { return c.Path != "" },
	}).Parse(map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[shell])
	if err != nil {
		return fmt.Errorf("the completion of %s: %w", shell, err)
	}
	return t.Execute(w, completions(model.Node, ""))
}

// completions lists what can follow node and each command below it.
func completions(node *kong.Node, path string) []completion {
	here := completion{Path: path}
	for _, group := range node.AllFlags(true) {
		for _, f := range group {
			word := completionWord{Name: "--" + f.Name, Help: firstLine(f.Help), TakesArg: !f.IsBool()}
			if f.Enum != "" {
				word.Values = f.EnumSlice()
			}
			here.Flags = append(here.Flags, word)
		}
	}
	for _, p := range node.Positional {
		if p.Enum != "" {
			for _, v := range p.EnumSlice() {
				here.Commands = append(here.Commands, completionWord{Name: v})
			}
		}
	}
	var below []completion
	for _, child := range node.Children {
		if child.Hidden {
			continue
		}
		here.Commands = append(here.Commands, completionWord{Name: child.Name, Help: firstLine(child.Help)})
		below = append(below, completions(child, strings.TrimSpace(path+" "+child.Name))...)
	}
	return append([]completion{here}, below...)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}

// Each script first finds the command that the words before the cursor name,
// and then offers what can follow it; where nothing can, the shell offers files.

const bashCompletion = `# bash completion of pando. Load it with: source <(pando completion bash)
_pando() {
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}
    local at="" i commands="" flags="" values=""
    for ((i = 1; i < COMP_CWORD; i++)); do
        case "${at:+$at }${COMP_WORDS[i]}" in
{{- range .}}{{if command .}}
        {{quote .Path}}) at={{quote .Path}} ;;
{{- end}}{{end}}
        esac
    done
    case "$at" in
{{- range .}}
    {{quote .Path}})
        commands="{{range .Commands}}{{.Name}} {{end}}"
        flags="{{range .Flags}}{{.Name}} {{end}}"
        case "$prev" in
{{- range .Flags}}{{if .TakesArg}}
        {{.Name}}) values="{{if .Values}}{{join .Values " "}}{{else}}*{{end}}" ;;
{{- end}}{{end}}
        esac
        ;;
{{- end}}
    esac
    if [[ $values == "*" ]]; then
        COMPREPLY=()
    elif [[ -n $values ]]; then
        COMPREPLY=($(compgen -W "$values" -- "$cur"))
    elif [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W "$flags" -- "$cur"))
    else
        COMPREPLY=($(compgen -W "$commands" -- "$cur"))
    fi
}
complete -o default -F _pando pando
`

const zshCompletion = `#compdef pando
# zsh completion of pando. Put it as _pando into a directory of $fpath.
_pando() {
    local at="" word
    local -a commands flags values
    for word in ${words[2,CURRENT-1]}; do
        case "${at:+$at }$word" in
{{- range .}}{{if command .}}
        {{quote .Path}}) at={{quote .Path}} ;;
{{- end}}{{end}}
        esac
    done
    case "$at" in
{{- range .}}
    {{quote .Path}})
        commands=({{range .Commands}}{{if .Help}}{{quote (print (colons .Name) ":" .Help)}}{{else}}{{quote .Name}}{{end}} {{end}})
        flags=({{range .Flags}}{{quote (print (colons .Name) ":" .Help)}} {{end}})
        case "${words[CURRENT-1]}" in
{{- range .Flags}}{{if .TakesArg}}
        {{.Name}}) {{if .Values}}values=({{join .Values " "}}){{else}}_files; return{{end}} ;;
{{- end}}{{end}}
        esac
        ;;
{{- end}}
    esac
    if (( ${#values} )); then
        compadd -a values
    elif [[ $PREFIX == -* ]]; then
        _describe -o flag flags
    elif (( ${#commands} )); then
        _describe command commands
    else
        _files
    fi
}
if [[ $funcstack[1] == _pando ]]; then _pando "$@"; else compdef _pando pando; fi
`

const fishCompletion = `# fish completion of pando.
function __pando_at
    set -l at
    for word in (commandline -opc)[2..-1]
        switch (string join ' ' -- $at $word)
            case {{range .}}{{if command .}}{{fish .Path}} {{end}}{{end}}
                set -a at $word
        end
    end
    test "$at" = "$argv[1]"
end
{{- range .}}{{$path := .Path}}
{{- range .Commands}}
complete -c pando -f -n '__pando_at "{{$path}}"' -a {{fish .Name}}{{if .Help}} -d {{fish .Help}}{{end}}
{{- end}}
{{- range .Flags}}
complete -c pando -n '__pando_at "{{$path}}"' -l {{slice .Name 2}}{{if .TakesArg}} -r{{end}}{{if .Values}} -f -a {{fish (join .Values " ")}}{{end}} -d {{fish .Help}}
{{- end}}
{{- end}}
`
