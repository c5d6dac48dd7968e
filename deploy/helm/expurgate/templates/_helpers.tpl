{{/* The name of what a release consists of; two releases in one namespace have two. */}}
{{- define "expurgate.name" -}}
{{- default (ternary .Release.Name (printf "%s-expurgate" .Release.Name) (contains "expurgate" .Release.Name)) .Values.nameOverride | trunc 50 | trimSuffix "-" }}
{{- end }}

{{- define "expurgate.chartLabels" -}}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "expurgate.selector" -}}
app.kubernetes.io/name: expurgate
app.kubernetes.io/component: gateway
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "expurgate.labels" -}}
app.kubernetes.io/name: expurgate
app.kubernetes.io/component: gateway
{{ include "expurgate.chartLabels" . }}
{{- end }}

{{- define "expurgate.image" -}}
{{- $image := .Values.image -}}
{{- if $image.digest }}{{ $image.repository }}@{{ $image.digest }}{{ else }}{{ $image.repository }}:{{ default .Chart.AppVersion $image.tag }}{{ end }}
{{- end }}

{{- define "expurgate.probes" -}}
startupProbe:
  httpGet:
    path: /livez
    port: metrics
  periodSeconds: 1
  failureThreshold: 30
readinessProbe:
  httpGet:
    path: /readyz
    port: metrics
  periodSeconds: 5
livenessProbe:
  httpGet:
    path: /livez
    port: metrics
  periodSeconds: 10
{{- end }}

{{- define "expurgate.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop:
    - ALL
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "expurgate.rulesVolume" -}}
- name: expurgate-rules
  configMap:
    name: {{ include "expurgate.name" . }}-rules
    optional: true
{{- with .Values.pseudonyms.secret }}
- name: expurgate-keys
  secret:
    secretName: {{ . }}
{{- end }}
{{- with .Values.extraVolumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "expurgate.rulesMount" -}}
- name: expurgate-rules
  mountPath: /etc/expurgate/rules
  readOnly: true
{{- if .Values.pseudonyms.secret }}
- name: expurgate-keys
  mountPath: /etc/expurgate/keys
  readOnly: true
{{- end }}
{{- with .Values.extraVolumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "expurgate.env" -}}
{{- with .Values.pseudonyms }}
{{- if .secret }}
- name: EXPURGATE_HASH_KEYS
  value: {{ printf "%s=/etc/expurgate/keys/%s" .key .file }}{{ range $key, $file := .others }},{{ printf "%s=/etc/expurgate/keys/%s" $key $file }}{{ end }}
{{- if .others }}
- name: EXPURGATE_HASH_ACTIVE
  value: {{ .key }}
{{- end }}
{{- end }}
{{- end }}
{{- with .Values.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
The sidecar, first of a pod's initContainers, and the volumes of "expurgate.sidecarVolumes":
for charts that have this one as a dependency. Call it with this chart's context:
{{ include "expurgate.sidecar" .Subcharts.expurgate }}
*/}}
{{- define "expurgate.sidecar" -}}
- name: expurgate
  image: {{ include "expurgate.image" . }}
  {{- with .Values.image.pullPolicy }}
  imagePullPolicy: {{ . }}
  {{- end }}
  restartPolicy: Always
  args:
    - run
  envFrom:
    - configMapRef:
        name: {{ include "expurgate.name" . }}-settings
  env:
    - name: EXPURGATE_LISTEN
      value: 127.0.0.1:8080
    - name: EXPURGATE_ADMIN
      value: 0.0.0.0:9090
    - name: EXPURGATE_RULES
      value: /etc/expurgate/rules
    - name: EXPURGATE_LOG_FORMAT
      value: json
    - name: EXPURGATE_LIMITS_MAX_BUFFERED
      value: 8MiB
    - name: EXPURGATE_LIMITS_MAX_CONNECTIONS
      value: "256"
    {{- include "expurgate.env" . | nindent 4 }}
  ports:
    - name: metrics
      containerPort: 9090
  {{- include "expurgate.probes" . | nindent 2 }}
  resources:
    {{- toYaml .Values.resources.sidecar | nindent 4 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    {{- include "expurgate.containerSecurity" . | nindent 4 }}
  volumeMounts:
    {{- include "expurgate.rulesMount" . | nindent 4 }}
{{- end }}

{{- define "expurgate.sidecarVolumes" -}}
{{- include "expurgate.rulesVolume" . }}
{{- end }}
