package cli

import (
	"fmt"
	"io"
	"regexp"
	"strings"

	"github.com/pando-pki/pando/internal/packs"
	"github.com/pando-pki/pando/internal/pki"
)

// authorityTemplate is "pando authority template".
type authorityTemplate struct {
	Pack         string            `arg:"" help:"Name of the pack, as 'pando profile packs' lists it."`
	Organization string            `required:"" placeholder:"NAME" help:"Organization, as the tenant's: it stands in the names of the authorities."`
	StatusURL    string            `name:"status-url" required:"" placeholder:"URL" help:"Base of the OCSP, CRL and CA certificate URLs, as http://pki.example.com."`
	Mode         string            `enum:"production,test" default:"production" help:"production or test (default: ${default})."`
	Set          map[string]string `placeholder:"NAME=VALUE" help:"Value of a parameter of the pack; may be repeated."`
}

func (authorityTemplate) Help() string {
	return `Prints the commands that build the pack's hierarchy in an empty tenant, in order: profiles, a ceremony for the root, authorities, the root's first CRL, endpoints. Nothing is done and no server is asked. Read it as the plan of the day, or run it line by line; the lines for the offline machine ask for a yes and a passphrase. The names that endpoints authorise are examples.

Examples:

    pando authority template smart-meter --organization "Example Meters" --status-url http://pki.example.com
    pando authority template matter --organization "Example Lamps" --status-url http://pki.example.com --set vid=FFF1 --set pid=8000`
}

// hierarchyPlan is the result of "pando authority template".
type hierarchyPlan struct {
	Pack    string       `json:"pack"`
	Version int          `json:"version"`
	Notes   []string     `json:"notes"`
	Steps   []packs.Step `json:"steps"`
}

// Run prints the plan.
func (a *authorityTemplate) Run(c *console) error {
	pack, err := packs.Get(a.Pack)
	if err != nil {
		return hintf(err, "'pando profile packs' lists their names")
	}
	steps, err := pack.Plan(packs.PlanConfig{Organization: a.Organization, Mode: pki.Mode(a.Mode), StatusURL: a.StatusURL, Values: a.Set})
	if err != nil {
		return err
	}
	return c.result(hierarchyPlan{pack.Name, pack.Version, pack.Notes, steps}, func(w io.Writer) error {
		fmt.Fprintf(w, "# %s, version %d: %s\n#\n", pack.Name, pack.Version, pack.Title)
		for _, note := range pack.Notes {
			fmt.Fprintf(w, "# - %s\n", strings.Join(strings.Fields(note), " "))
		}
		place := ""
		for _, s := range steps {
			if s.Where != place {
				place = s.Where
				fmt.Fprintf(w, "\n# %s\n", map[string]string{packs.Offline: "On the offline machine", packs.Online: "With the server, as the tenant's administrator"}[place])
			}
			line := make([]string, len(s.Command))
			for i, word := range s.Command {
				line[i] = quoted(word)
			}
			if s.Output != "" {
				line = append(line, ">", quoted(s.Output))
			}
			fmt.Fprintln(w, strings.Join(line, " "))
		}
		return nil
	})
}

// plainWord is what a shell leaves as it is.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_./:=@%+,-]+$`)

// quoted returns a word as a POSIX shell reads it back.
func quoted(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
