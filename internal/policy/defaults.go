package policy

// A Default is a setting of which a document says nothing, so that it has the value
// that the language gives it.
type Default struct {
	What  string // where it would stand in the document, as "keys.reuse"
	Value string
}

// Defaults returns what the profile relies on without saying it, in the order of the
// language. What is there only where a document asks for it, as an extension, is no
// default.
func (p *Profile) Defaults() []Default { return p.defaults }

func defaultsOf(doc *document) (unsaid []Default) {
	for _, d := range []struct {
		said  bool
		what  string
		value string
	}{
		{doc.Mode.text != "", "mode", "any"},
		{len(doc.Authorities) > 0, "authorities", "any"},
		{doc.Strict, "strict", "false"},
		{doc.Keys.Reuse.text != "", "keys.reuse", "per-device"},
		{doc.Keys.Renew.Key.text != "", "keys.renew", "new-key"},
		{doc.Backdate.text != "", "backdate", "none"},
		{doc.Outlive.text != "", "outlive", "refuse"},
		{doc.KeyUsage == nil || doc.KeyUsage.Critical != nil, "keyUsage.critical", "true"},
		{doc.ExtendedKeyUsage == nil || doc.ExtendedKeyUsage.Critical, "extendedKeyUsage.critical", "false"},
		{len(doc.Policies.Use) == 0 || doc.Policies.Critical, "policies.critical", "false"},
		{len(doc.KeyIdentifiers.Use) == 0 || doc.KeyIdentifiers.Method.text != "", "keyIdentifiers.method", "sha1"},
	} {
		if !d.said {
			unsaid = append(unsaid, Default{d.what, d.value})
		}
	}
	return unsaid
}
