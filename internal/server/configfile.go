package server

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// ConfigName is the name of the configuration file within a data directory.
const ConfigName = "pando.yaml"

// maxConfig is the size of the largest configuration file, in bytes.
const maxConfig = 1 << 20

// ReadConfig reads a configuration file; what is not written in it is that of base.
func ReadConfig(path string, base Config) (Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return Config{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err == nil && len(text) > maxConfig {
		err = fmt.Errorf("%s: larger than %d bytes", path, maxConfig)
	}
	if err != nil {
		return Config{}, err
	}
	cfg, err := ParseConfig(text, base)
	if err != nil {
		return Config{}, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, nil
}

// ParseConfig reads a configuration document strictly: a key that Config does not
// have, one that stands twice, and one after which nothing stands, is an error with line
// and caret. What is not written is that of base.
func ParseConfig(text []byte, base Config) (Config, error) {
	cfg := base
	file, err := parser.ParseBytes(text, 0)
	if err != nil {
		return cfg, errors.New(yaml.FormatError(err, false, true))
	}
	if len(file.Docs) > 1 {
		return cfg, errors.New("it holds more than one document")
	}
	if len(file.Docs) == 0 || file.Docs[0].Body == nil {
		return cfg, nil
	}
	// The decoder can be brought to panic by tags, and by aliases to never end.
	found, empty, fraction := new(*token.Token), new(*token.Token), new(*token.Token)
	ast.Walk(plainYAML{found, empty, fraction}, file.Docs[0].Body)
	switch {
	case *found != nil:
		err = &yaml.SyntaxError{Message: "anchors, aliases, tags and complex keys have no place here", Token: *found}
	case *empty != nil:
		err = &yaml.SyntaxError{Message: "nothing stands here: write a value, or leave the key out", Token: *empty}
	case *fraction != nil:
		err = &yaml.SyntaxError{Message: "no number here has a fraction: write a whole one, or quotes around a text", Token: *fraction}
	default:
		err = yaml.NodeToValue(file.Docs[0].Body, &cfg, yaml.Strict())
	}
	if err != nil {
		return Config{}, errors.New(yaml.FormatError(err, false, true))
	}
	return cfg, nil
}

// plainYAML visits a document. It keeps the first token of what is more than mappings,
// sequences and scalars, of what is written without a value, which the decoder would take
// for its default, and of a fraction, of which it would take the whole number below.
type plainYAML struct{ found, empty, fraction **token.Token }

// Visit is called for each node.
func (p plainYAML) Visit(node ast.Node) ast.Visitor {
	switch n := node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.TagNode, *ast.MergeKeyNode, *ast.MappingKeyNode, *ast.DirectiveNode:
		if *p.found == nil {
			*p.found = node.GetToken()
		}
		return nil
	case *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		if *p.fraction == nil {
			*p.fraction = node.GetToken()
		}
	case *ast.NullNode:
		if *p.empty == nil && !isSection(n.GetPath()) {
			*p.empty = node.GetToken()
		}
	case *ast.StringNode:
		if *p.empty == nil && n.Value == "" {
			*p.empty = node.GetToken()
		}
	}
	return p
}

// isSection reports whether a path is that of a part of the configuration, after which
// nothing stands where each of its fields is commented out.
func isSection(path string) bool {
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if path == "$."+key {
			return f.Type.Kind() == reflect.Struct
		}
	}
	return false
}
