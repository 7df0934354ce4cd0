# Release what this trainer made. Arguments and exit code pass through as they are.
# $args and no param block: PowerShell would take -y and its like for parameters of its own.
# Windows PowerShell 5.1 drops empty arguments and inner quotes; PowerShell 7.3 and later do not.

$script = Join-Path (Join-Path $PSScriptRoot 'src') 'upload_to_hf.py'
$candidates = @($env:UPLOADER_PYTHON)
if ($env:VIRTUAL_ENV) { $candidates += Join-Path $env:VIRTUAL_ENV 'Scripts\python.exe' }
if ($env:CONDA_PREFIX) { $candidates += Join-Path $env:CONDA_PREFIX 'python.exe' }
$candidates += (Join-Path $PSScriptRoot '.venv\Scripts\python.exe'), 'python3', 'python'

foreach ($python in $candidates) {
    if ($python -and (Get-Command $python -ErrorAction SilentlyContinue)) {
        & $python $script @args
        exit $LASTEXITCODE
    }
}
[Console]::Error.WriteLine('there is no Python here; set UPLOADER_PYTHON to the one with uploader-trainers')
exit 8
