{{- define "kgrca-server.labels" -}}
app.kubernetes.io/name: kgrca-server
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
{{- end }}

{{- define "kgrca-server.selector" -}}
app.kubernetes.io/name: kgrca-server
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .role }}
{{- end }}

{{- define "kgrca-server.name" -}}
{{ .root.Release.Name }}-{{ .role }}
{{- end }}

{{- define "kgrca-server.image" -}}
{{ printf "%s:%s" .Values.image.repository (.Values.image.tag | default .Chart.AppVersion) }}
{{- with .Values.image.digest }}@{{ . }}{{ end }}
{{- end }}

{{- define "kgrca-server.security" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "kgrca-server.confined" -}}
{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
{{- end }}

{{- define "kgrca-server.tlsSecret" -}}
{{ .Values.tls.secretName | default (printf "%s-tls" .Release.Name) }}
{{- end }}

{{- define "kgrca-server.auditKeySecret" -}}
{{ .Values.auditKeySecret | default (printf "%s-audit-key" .Release.Name) }}
{{- end }}

{{- define "kgrca-server.scheme" -}}
{{ ternary "HTTPS" "HTTP" .Values.tls.enabled }}
{{- end }}

{{- define "kgrca-server.stores" -}}
- {name: KGRCA_META_URL, value: "${file:/etc/kgrca/meta-url}"}
- {name: KGRCA_GRAPH_URL, value: "${file:/etc/kgrca/graph-url}"}
- {name: KGRCA_LOG_URL, value: "${file:/etc/kgrca/log-url}"}
- {name: KGRCA_LIMITS_URL, value: "${file:/etc/kgrca/limits-url}"}
- {name: KGRCA_OPERATOR_KEY, value: "${file:/etc/kgrca/operator-key}"}
- {name: KGRCA_DATA, value: /var/lib/kgrca}
- {name: KGRCA_AUDIT_KEY, value: /etc/kgrca-audit/audit-key}
- {name: KGRCA_LOG_FORMAT, value: json}
{{- end }}

{{- define "kgrca-server.pod" -}}
securityContext: {{- include "kgrca-server.security" . | nindent 2 }}
automountServiceAccountToken: false
# Time for a worker to commit its batch and release its partitions.
terminationGracePeriodSeconds: 60
{{- with .root.Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
topologySpreadConstraints:
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "kgrca-server.selector" . | nindent 8 }}
containers:
  - name: kgrcad
    image: {{ include "kgrca-server.image" .root }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    env:
      {{- include "kgrca-server.stores" . | nindent 6 }}
      - {name: KGRCA_ROLES, value: {{ .role }}}
      - {name: KGRCA_METRICS_LISTEN, value: "0.0.0.0:7601"}
      - {name: KGRCA_LISTEN, value: "0.0.0.0:7600"}
      {{- with include "kgrca-server.masterKeyUrl" .root }}
      - {name: KGRCA_MASTER_KEY_URL, value: {{ . | quote }}}
      {{- if not $.root.Values.encryption.enabled }}
      - {name: KGRCA_NO_ENCRYPTION, value: "true"}
      {{- end }}
      {{- end }}
      - {name: KGRCA_METRICS_TENANTS, value: {{ .root.Values.metricsTenants | quote }}}
      {{- with .root.Values.trustedProxies }}
      - {name: KGRCA_TRUSTED_PROXIES, value: {{ join "," . | quote }}}
      {{- end }}
      {{- if .root.Values.tls.enabled }}
      - {name: KGRCA_TLS_CERT, value: /etc/kgrca-tls/tls.crt}
      - {name: KGRCA_TLS_KEY, value: /etc/kgrca-tls/tls.key}
      {{- else }}
      - {name: KGRCA_ALLOW_PLAIN_HTTP, value: "true"}
      {{- end }}
    ports:
      {{- if eq .role "api" }}
      - {name: api, containerPort: 7600, protocol: TCP}
      {{- end }}
      - {name: metrics, containerPort: 7601, protocol: TCP}
    {{- $scheme := include "kgrca-server.scheme" .root }}
    {{- $port := ternary "api" "metrics" (eq .role "api") }}
    startupProbe: {httpGet: {path: /livez, port: {{ $port }}, scheme: {{ $scheme }}}, periodSeconds: 2, failureThreshold: 60}
    livenessProbe: {httpGet: {path: /livez, port: {{ $port }}, scheme: {{ $scheme }}}, periodSeconds: 10, timeoutSeconds: 5}
    {{- if eq .role "api" }}
    readinessProbe: {httpGet: {path: /readyz, port: api, scheme: {{ $scheme }}}, periodSeconds: 5, timeoutSeconds: 5}
    {{- end }}
    resources: {{- toYaml .resources | nindent 6 }}
    securityContext: {{ include "kgrca-server.confined" . }}
    volumeMounts:
      - {name: stores, mountPath: /etc/kgrca, readOnly: true}
      - {name: data, mountPath: /var/lib/kgrca}
      - {name: audit-key, mountPath: /etc/kgrca-audit, readOnly: true}
      {{- if include "kgrca-server.masterKeySources" .root }}
      - {name: master-key, mountPath: /etc/kgrca-master, readOnly: true}
      {{- end }}
      {{- if .root.Values.tls.enabled }}
      - {name: tls, mountPath: /etc/kgrca-tls, readOnly: true}
      {{- end }}
volumes:
  - {name: stores, secret: {secretName: {{ .root.Values.storesSecret }}}}
  - {name: audit-key, secret: {secretName: {{ include "kgrca-server.auditKeySecret" .root }}, defaultMode: 288}}
  - name: data
    emptyDir: {sizeLimit: {{ if eq .role "worker" }}{{ .root.Values.worker.snapshots.sizeLimit }}{{ else }}256Mi{{ end }}}
  {{- with include "kgrca-server.masterKeySources" .root }}
  # 288 is 0440: kgrcad refuses a key that every user can read.
  - name: master-key
    projected:
      defaultMode: 288
      sources: {{- . | trim | nindent 8 }}
  {{- end }}
  {{- if .root.Values.tls.enabled }}
  - {name: tls, secret: {secretName: {{ include "kgrca-server.tlsSecret" .root }}, defaultMode: 0440}}
  {{- end }}
{{- end }}

{{/*
The keys that the chart creates, as far as they are in use: none where a release stored data in clear (encryption begins with
an installation, or with a key that is given); with a key of yours, those that exist, because data may still need them.
*/}}
{{- define "kgrca-server.ownKeys" -}}
{{- $known := list }}
{{- range .Values.encryption.keys }}
{{- if lookup "v1" "Secret" $.Release.Namespace (printf "%s-%s" $.Release.Name .) }}{{ $known = append $known . }}{{ end }}
{{- end }}
{{- $given := or .Values.encryption.existingSecret .Values.encryption.url }}
{{- if and (not $given) (or $known (and .Release.IsInstall .Values.encryption.enabled)) }}{{ $known = .Values.encryption.keys }}{{ end }}
{{- join "," $known }}
{{- end }}

{{/* Master keys, the one that encrypts first. Empty where nothing is encrypted. */}}
{{- define "kgrca-server.masterKeyUrl" -}}
{{- $urls := list }}
{{- if .Values.encryption.url }}{{ $urls = append $urls .Values.encryption.url }}
{{- else if .Values.encryption.existingSecret }}{{ $urls = append $urls "file:/etc/kgrca-master/master-key" }}
{{- end }}
{{- range compact (splitList "," (include "kgrca-server.ownKeys" .)) }}{{ $urls = append $urls (printf "file:/etc/kgrca-master/own/%s" .) }}{{ end }}
{{- join "," $urls }}
{{- end }}

{{/* Where the files of master keys come from. */}}
{{- define "kgrca-server.masterKeySources" -}}
{{- with .Values.encryption.existingSecret }}
- {secret: {name: {{ . }}}}
{{- end }}
{{- range compact (splitList "," (include "kgrca-server.ownKeys" .)) }}
- {secret: {name: {{ $.Release.Name }}-{{ . }}, items: [{key: master-key, path: own/{{ . }}}]}}
{{- end }}
{{- end }}
