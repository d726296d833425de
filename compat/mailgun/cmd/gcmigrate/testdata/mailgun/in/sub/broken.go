package {{ .Name }}
