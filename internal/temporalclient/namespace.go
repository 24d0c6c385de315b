package temporalclient

// NamespaceName is the namespace that Dial's client would use.
func (t Target) NamespaceName() string {
	o, err := t.options()
	if err != nil || o.Namespace == "" {
		return defaultNamespace
	}
	return o.Namespace
}
