{{- define "kgrca-agent.labels" -}}
app.kubernetes.io/name: {{ . }}
app.kubernetes.io/part-of: kgrca
app.kubernetes.io/managed-by: kgrca
{{- end }}

{{- define "kgrca-agent.metadata" -}}
name: {{ .name }}
namespace: {{ .root.Release.Namespace }}
labels: {{- include "kgrca-agent.labels" .name | nindent 2 }}
{{- end }}

{{- define "kgrca-agent.secret" -}}
{{ .Values.existingSecret | default "kgrca-agent" }}
{{- end }}

{{- define "kgrca-agent.image" -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "kgrca-agent.container" -}}
name: agent
image: {{ include "kgrca-agent.image" .root }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
args: [agent]
env:
  - {name: KGRCA_CLUSTER, value: {{ .root.Values.cluster | quote }}}
  - {name: KGRCA_URL, value: {{ .root.Values.server | quote }}}
  - {name: KGRCA_API_KEY, value: "${file:/etc/kgrca/api-key}"}
  - {name: KGRCA_SPOOL, value: /var/lib/kgrca}
  - {name: KGRCA_SPOOL_MIB, value: {{ .root.Values.spoolMiB | quote }}}
  - {name: KGRCA_AGENT_LISTEN, value: "0.0.0.0:7610"}
  - {name: KGRCA_LOG_FORMAT, value: json}
  - {name: KGRCA_ALERTS_TOKEN, value: "${file:/etc/kgrca/alerts-token}"}
  - {name: MIMALLOC_ARENA_EAGER_COMMIT, value: "0"}
  - {name: MIMALLOC_PURGE_DELAY, value: "0"}
  {{- if .root.Values.openMetrics }}
  - {name: KGRCA_OPEN_METRICS, value: "true"}
  {{- end }}
  {{- if .root.Values.ca }}
  - {name: KGRCA_CA_FILE, value: /etc/kgrca-ca/ca.crt}
  {{- end }}
  {{- if .root.Values.kafka.enabled }}
  - {name: KGRCA_KAFKA_URL, value: "${file:/etc/kgrca-kafka/url}"}
  {{- end }}
{{- end }}

{{- define "kgrca-agent.mounts" -}}
- {name: keys, mountPath: /etc/kgrca, readOnly: true}
- {name: spool, mountPath: /var/lib/kgrca}
{{- if .Values.ca }}
- {name: ca, mountPath: /etc/kgrca-ca, readOnly: true}
{{- end }}
{{- if .Values.kafka.enabled }}
- {name: kafka, mountPath: /etc/kgrca-kafka, readOnly: true}
{{- end }}
{{- end }}

{{- define "kgrca-agent.volumes" -}}
{{- if .Values.ca }}
- {name: ca, configMap: {name: kgrca-agent}}
{{- end }}
{{- if .Values.kafka.enabled }}
- {name: kafka, secret: {secretName: {{ .Values.kafka.existingSecret | default "kgrca-agent-kafka" }}}}
{{- end }}
{{- end }}

{{- define "kgrca-agent.probes" -}}
ports:
  - {name: alerts, containerPort: 7610, protocol: TCP}
livenessProbe: {httpGet: {path: /livez, port: alerts}, periodSeconds: 10, timeoutSeconds: 5}
readinessProbe: {httpGet: {path: /readyz, port: alerts}, periodSeconds: 10, timeoutSeconds: 5}
{{- end }}
