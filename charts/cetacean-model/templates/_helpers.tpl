{{- define "cetacean-model.name" -}}
{{- default .Release.Name .Values.name }}
{{- end }}
